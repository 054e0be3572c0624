"""What exists without anybody asking: the first mesh, keys, default policies and hostnames.

`starting` writes it, the others say what it is.
"""
