"""Floor 3: what all policies share.

Selecting policies for a proxy, ordering and merging their confs, and the hooks through which they edit a plan.
"""
