"""Floor 1: Envoy's API tamed.

Short names for the messages we use, the names that Envoy resources carry, and small constructors shared by plug-ins.
"""
