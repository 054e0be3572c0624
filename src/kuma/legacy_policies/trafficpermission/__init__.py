"""TrafficPermission: which services may call which, by tags; the older form of MeshTrafficPermission.

`model.py` says what a user writes, `validate.py` what is wrong with it, `translate.py` adapts it to the hooks.
`docs.md` and `examples/` are the user's side.
"""
