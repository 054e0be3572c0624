"""CircuitBreaker: when a client stops calling an endpoint that fails, and how much it may ask at once; the older form of
MeshCircuitBreaker.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
