"""Retry: what a client tries again and when; the older form of MeshRetry.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
