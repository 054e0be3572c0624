"""MeshMetric: which metrics of the proxy and of the applications behind it are offered, and to whom.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
