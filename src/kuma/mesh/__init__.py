"""Floor 2: one frozen picture of every mesh, advanced by edits.

`view.py` is the face: `WorldView.advance` returns the next pictures and what the edits touched; `picture.py` is one mesh
and `draft.py` the way from one picture to the next. Each other file is one index over a mesh, or a rule about it:
who answers (`endpoints`, `backing`, `zones`), what there is to be reached (`destinations`, `vips`, `outbounds`), and who
is ready for mutual TLS (`readiness`). Indexes that did not change are the same objects in the next picture.
"""
