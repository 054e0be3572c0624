"""MeshCircuitBreaker: how much a proxy sends at most, and which endpoints it leaves out for a while.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
