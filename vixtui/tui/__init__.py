"""What one can see: five tabs over the run directories.

Screens read `runs` and `planning`, start the engine through `runs.process` and never import it,
torch or numpy. `run_tui` in `app` is the way in.
"""
