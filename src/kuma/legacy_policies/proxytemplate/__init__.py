"""ProxyTemplate: raw changes to the configuration of proxies; the older form of MeshProxyPatch.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
