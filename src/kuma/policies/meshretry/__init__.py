"""MeshRetry: how often, how fast and for which failures a client's proxy tries again.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
