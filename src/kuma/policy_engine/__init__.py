"""Floor 3: what all policies share.

`writing` is for their models and validators, `matching` selects and orders policies for a proxy, `merging` makes one
conf of several, `advice` tells what has no effect. The files beside them are the hooks through which policies edit a
plan, and what several of their translations use.
"""
