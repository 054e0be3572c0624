"""FaultInjection: delays, errors and slow answers made on purpose, to see what callers do; the older form of
MeshFaultInjection.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
