"""TrafficRoute: where a client sends the traffic of a service; the older form of MeshHTTPRoute, MeshTCPRoute and
MeshLoadBalancingStrategy.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
