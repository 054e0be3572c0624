"""Which policies are about a proxy, its inbounds and listeners, and in which order.

`matcher` is the way in; it remembers answers. `index` arranges the policies of a kind.
"""
