"""TrafficTrace: which proxies report traces, and to which backend of the Mesh; the older form of MeshTrace.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
