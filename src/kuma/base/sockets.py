"""Where the agent and Envoy meet on disk: Unix socket paths that both the agent and the control plane derive.

The control plane writes them into Envoy's configuration, the agent creates them; a path that either side
computed differently would never connect, so there is one definition. Source: Kuma's naming of agent sockets.
"""

_STEM_LIMIT = 98
"""Bytes kept before the suffix: a socket address of Linux holds 108 in all."""


def _path(workdir: str, stem: str) -> str:
    joined = f"{workdir.rstrip('/') or '/'}/{stem}" if workdir else stem
    return joined.encode()[:_STEM_LIMIT].decode(errors="ignore") + ".sock"


def access_log(workdir: str, mesh: str, name: str) -> str:
    """FIFO that Envoy writes TCP access logs to and the agent reads."""
    return _path(workdir, f"kuma-al-{name}-{mesh}")


def admin(workdir: str) -> str:
    """Socket of Envoy's admin API."""
    return _path(workdir, "kuma-envoy-admin")


def dynamic_config(workdir: str) -> str:
    """Socket on which Envoy serves what the control plane tells the agent."""
    return _path(workdir, "kuma-mesh-metric-config")


def metrics(workdir: str, mesh: str, name: str) -> str:
    """Socket on which the agent answers scrapes that come in through Envoy."""
    return _path(workdir, f"kuma-mh-{name}-{mesh}")


def collector(workdir: str, name: str) -> str:
    """Socket between Envoy and the agent for telemetry that goes to one OpenTelemetry collector."""
    return _path(workdir, f"kuma-otel-{name}")
