"""The Vision Xformer family.

`config` describes a model and knows nothing of torch; every other module here builds on torch and
on nothing else of this program. `build(config)` lives in `vision_xformer`.
"""
