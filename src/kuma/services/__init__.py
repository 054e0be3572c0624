"""Floor 7: use cases and the loops that keep written resources and proxies up to date.

`resources` is the one way to write, read and delete; the folders are what happens because of it. Files beside them serve
several folders: who leads, what is measured, how a loop follows the store.
"""
