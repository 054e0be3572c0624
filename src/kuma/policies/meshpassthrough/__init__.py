"""MeshPassthrough: which traffic may leave a proxy for destinations that the mesh does not know.

`model.py` says what a user writes, `validate.py` what is wrong with it; `docs.md` and `examples/` are the user's side.
"""
