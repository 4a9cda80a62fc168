"""The run directory: the only thing between the engine and whoever watches it.

`config` is the decision a run starts from, `events` the log it writes, `control` the way to speak
to it, `directory` where it all lies and what state it is in, `process` how the engine is started
and asked. Nothing here imports torch.
"""
