"""Floor 2: one frozen picture of a mesh.

`view.py` builds it from resources and the picture before; each other file is one index over it.
Indexes that did not change are the same objects in the next picture.
"""
