"""The bootstrap request: what this proxy is, where its files lie, what it can do. Pure; keys as Kuma's agents send."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import kuma
from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.otel import environment
from kuma.apps.dataplane.supervised.envoy import EnvoyVersion


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was found out or decided for this run, beside the settings. `definition` is JSON text or empty."""

    mesh: str
    name: str
    definition: str
    token: str
    token_path: str
    ca: str
    workdir: str
    readiness_port: int
    envoy: EnvoyVersion
    system_ca: str
    has_ipv6: bool
    memory_limit: int
    redirection: Mapping[str, Any] | None
    host_ip: str
    answers_dns: bool
    telemetry: environment.Environment


def features(settings: conf.Settings, *, redirected: bool, answers_dns: bool) -> list[str]:
    """What this agent does for Envoy, so that the control plane relies on nothing else."""
    optional = (
        ("feature-embedded-dns", answers_dns),
        ("feature-transparent-proxy-in-dataplane-metadata", redirected),
        ("feature-bind-outbounds", settings.bind_outbounds),
        ("feature-delta-grpc", settings.xds_variant == "DELTA_GRPC"),
        ("feature-unified-resource-naming", settings.unified_naming),
        ("feature-spire", settings.spire_supported),
        ("feature-strict-inbound-ports", settings.strict_inbound_ports),
        ("feature-reuse-port", settings.reuse_port),
        ("feature-otel-via-kuma-dp", settings.otel_pipe),
    )
    return ["feature-tcp-accesslog-via-named-pipe", *(name for name, wanted in optional if wanted)]


def build_request(settings: conf.Settings, around: Surroundings) -> dict[str, Any]:
    """The body of `POST /bootstrap`."""
    body: dict[str, Any] = {
        "mesh": around.mesh,
        "name": around.name,
        "proxyType": settings.proxy_type,
        "version": {
            "kumaDp": {
                "version": kuma.VERSION,
                "gitTag": "unknown",
                "gitCommit": "unknown",
                "buildDate": "unknown",
            },
            "envoy": {
                "version": around.envoy.number,
                "build": around.envoy.build,
                "kumaDpCompatible": around.envoy.is_compatible,
            },
        },
        "caCert": around.ca,
        "otelEnv": environment.inventory(around.telemetry, is_used=settings.otel_pipe),
        "dynamicMetadata": {"HOST_IP": around.host_ip} if around.host_ip else {},
        "readinessPort": around.readiness_port,
        "operatingSystem": "linux",
        "features": features(settings, redirected=around.redirection is not None, answers_dns=around.answers_dns),
        "resources": {"maxHeapSizeBytes": settings.max_memory or around.memory_limit},
        "workdir": around.workdir,
        "metricsResources": {"certPath": settings.metrics_cert, "keyPath": settings.metrics_key},
        "systemCaPath": around.system_ca,
        "ipv6Enabled": settings.ipv6_enabled and around.has_ipv6,
        "spireResources": {"socketPath": settings.spire_socket},
    }
    optional: dict[str, Any] = {
        "dataplaneToken": around.token,
        "dataplaneTokenPath": around.token_path,
        "dataplaneResource": around.definition,
        "dnsPort": settings.dns_envoy_port if settings.dns_enabled and settings.proxy_type == "dataplane" else 0,
        "dataplaneConfig": around.redirection,
    }
    return body | {key: value for key, value in optional.items() if value}
