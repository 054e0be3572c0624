"""MeshTrafficPermission: which clients may reach which inbounds, enforced by Envoy's RBAC under mutual TLS.

`model.py` says what a user writes, `validate.py` what is wrong with it, `translate.py` what Envoy is told.
`docs.md` and `examples/` are the user's side.
"""
