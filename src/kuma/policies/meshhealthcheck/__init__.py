"""MeshHealthCheck: how a client's proxy asks endpoints whether they are well.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
