"""TrafficLog: which connections are logged, and to which backend of the Mesh; the older form of MeshAccessLog.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
