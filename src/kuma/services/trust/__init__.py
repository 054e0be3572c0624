"""The certificates, keys and tokens by which proxies, users and control planes prove who they are.

Authorities are found or made here, leaves issued and renewed, tokens signed and checked. What is kept is a resource.
"""
