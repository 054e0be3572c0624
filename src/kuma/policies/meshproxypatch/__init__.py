"""MeshProxyPatch: changes to the finished Envoy configuration of a proxy, for what no other policy can say.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
