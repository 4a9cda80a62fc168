"""What fits and how long it takes: pure functions from a machine, a task and a budget to plans."""
