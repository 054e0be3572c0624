"""MeshGatewayRoute: where a builtin gateway sends requests; the older form of MeshHTTPRoute and MeshTCPRoute for gateways.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
