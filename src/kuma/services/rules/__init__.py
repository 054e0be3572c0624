"""What writing a resource asks for beside its schema: rules that need other resources, the mesh or the role.

`resources` calls them before anything is stored.
"""
