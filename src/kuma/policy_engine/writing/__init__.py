"""What the models and validators of policies share: entries, backends, headers, bounds, embedded Envoy configuration.

Light: the CLI imports it.
"""
