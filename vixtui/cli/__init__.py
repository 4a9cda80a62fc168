"""What one can type: a module per command, over planning, runs and the engine process.

stdout is data and has one writer, `output`; stderr is narration, `narrate`. Nothing here imports
torch, and what a command needs is imported when it is called.
"""
