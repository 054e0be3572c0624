"""MeshTCPRoute: which backends the connections to a destination are spread over.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
