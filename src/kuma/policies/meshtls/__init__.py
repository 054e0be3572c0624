"""MeshTLS: how inbounds treat plaintext under mutual TLS, and which versions and ciphers of TLS the mesh speaks.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
