"""MeshRateLimit: how many requests or connections a proxy lets in over a time.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
