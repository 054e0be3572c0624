"""Floor 5: mesh view and proxy in, Envoy resources out.

One file per generator builds the plan, policies edit it, `render.py` packs each node once.
"""
