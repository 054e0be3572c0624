"""MeshHTTPRoute: which requests go where, and what is changed about them on the way.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
