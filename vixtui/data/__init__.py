"""Pictures in: which there are, how they are split, how they become tensors.

Without torch: `sources` opens a data set, from a `folder` (walked by `scan`) or `builtin` (digits,
`shapes`), and says how it is `split`; `pictures` reads a file, `examine` looks at it closely, and
`check` makes `findings` of a whole set. With torch: `decode`, `tensors`, `augment`, and `download`
for public sets.
"""
