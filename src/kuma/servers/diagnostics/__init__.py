"""The diagnostics server (port 5680): is the control plane alive and ready, what it measured, how much it says.

`app.build(...)` gives an ASGI application; it knows nothing of meshes.
"""
