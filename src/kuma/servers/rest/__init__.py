"""The HTTP API of the control plane, for people, `kumactl` and the web UI.

Routes are derived from the catalog: a kind that is declared has all its endpoints. `app.build(deps)` returns one ASGI
application that serves plain HTTP and HTTPS alike; use cases live in `kuma.services`.
"""
