"""MeshAccessLog: which requests and connections are written down, in which words, and where to.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
