"""RateLimit: how many requests an inbound answers in an interval; the older form of MeshRateLimit.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
