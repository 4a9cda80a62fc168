"""Training, evaluation and prediction: a process of its own that never knows who watches.

``python -m vixtui.engine train RUN_DIR`` trains or resumes a run; ``… serve`` answers questions.
"""
