"""HealthCheck: how clients probe the endpoints of a service; the older form of MeshHealthCheck.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
