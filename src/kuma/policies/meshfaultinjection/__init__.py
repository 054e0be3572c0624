"""MeshFaultInjection: failures on purpose, to see how clients cope: aborts, delays, slow responses.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
