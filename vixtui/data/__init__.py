"""Pictures in: which there are, how they are split, how they become tensors.

`sources`, `split` and `builtin` describe data without torch; `decode`, `tensors`, `augment` and
`download` make tensors and pictures with it.
"""
