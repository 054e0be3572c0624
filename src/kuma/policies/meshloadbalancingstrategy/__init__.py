"""MeshLoadBalancingStrategy: which endpoint gets a request, which zones may help out, and what sticks together.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
