"""MeshTrace: where spans of requests are sent, how many of them, and what is written on them.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
