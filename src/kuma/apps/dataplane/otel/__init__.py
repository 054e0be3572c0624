"""Hands telemetry on to OpenTelemetry collectors.

Envoy sends access logs and spans to a Unix socket for each MeshOpenTelemetryBackend (`receiver`), and the agent sends
them on to the collector (`forwarder`, `delivery`), the way that the control plane and the agent's own environment say
(`document`, `environment`, `routes`). So Envoy needs to know neither addresses nor secrets of collectors.
"""
