"""The life of connected proxies: who may connect, what each is to have, what became of it.

`publisher` keeps snapshots current, `proxies` opens sessions, `envoy_admin` asks a proxy itself.
"""
