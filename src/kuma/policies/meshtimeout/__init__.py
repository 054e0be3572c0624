"""MeshTimeout: how long connections, requests and streams may take or lie idle, on either side of a proxy.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
