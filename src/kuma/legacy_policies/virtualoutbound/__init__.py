"""VirtualOutbound: host names and ports for services, made from the tags of their proxies.

`model.py` says what a user writes, `validate.py` what is wrong with it. `docs.md` and `examples/` are the user's side.
"""
