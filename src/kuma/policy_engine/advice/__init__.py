"""What a policy asks for and cannot get, in words for its author.

`scene` is the mesh as policies find it, `spoken` which parts of a conf mean something there.
"""
