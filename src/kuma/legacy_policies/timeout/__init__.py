"""Timeout: how long a client waits; the older form of MeshTimeout.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
