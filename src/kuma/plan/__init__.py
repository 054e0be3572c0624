"""Floor 2: the skeleton of one proxy's configuration.

Nodes are facts plus an unpacked Envoy message at each leaf; policies edit them, the compiler renders them.
"""
