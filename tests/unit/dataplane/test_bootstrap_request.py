"""The body of the bootstrap request: keys that Kuma's control planes read, and what is announced."""

from typing import Any

import pytest

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.joining import bootstrap
from kuma.apps.dataplane.otel import environment
from kuma.apps.dataplane.supervised.envoy import EnvoyVersion
from kuma.envoy import bootstrap_request as contract

AROUND: dict[str, Any] = {
    "mesh": "default",
    "name": "web-1",
    "definition": "",
    "token": "",
    "token_path": "",
    "ca": "",
    "workdir": "/tmp/w",
    "readiness_port": 9902,
    "envoy": EnvoyVersion("1.38.2", "rev/1.38.2/Clean/RELEASE/BoringSSL"),
    "system_ca": "/ca.pem",
    "has_ipv6": True,
    "memory_limit": 0,
    "redirection": None,
    "host_ip": "",
    "answers_dns": False,
    "telemetry": environment.Environment(),
}


def build(flags: dict[str, str] | None = None, environ: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    settings = conf.load_settings(flags or {}, environ or {})
    return bootstrap.build_request(settings, bootstrap.Surroundings(**{**AROUND, **changes}))


RUNTIME = "KUMA_DATAPLANE_RUNTIME_"
BY_DEFAULT = {
    "feature-tcp-accesslog-via-named-pipe",
    "feature-strict-inbound-ports",
    "feature-reuse-port",
    "feature-otel-via-kuma-dp",
}


@pytest.mark.parametrize(
    ("flags", "environ", "changes", "features"),
    [
        ({}, {}, {}, BY_DEFAULT),
        ({}, {f"{RUNTIME}REUSE_PORT_ENABLED": "false"}, {}, BY_DEFAULT - {"feature-reuse-port"}),
        ({}, {f"{RUNTIME}OTEL_PIPE_ENABLED": "false"}, {}, BY_DEFAULT - {"feature-otel-via-kuma-dp"}),
        ({}, {f"{RUNTIME}STRICT_INBOUND_PORTS_ENABLED": "false"}, {}, BY_DEFAULT - {"feature-strict-inbound-ports"}),
        ({"bind_outbounds": "true"}, {}, {}, BY_DEFAULT | {"feature-bind-outbounds"}),
        ({}, {f"{RUNTIME}ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT": "DELTA_GRPC"}, {}, BY_DEFAULT | {"feature-delta-grpc"}),
        ({}, {f"{RUNTIME}ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT": "GRPC"}, {}, BY_DEFAULT),
        (
            {},
            {f"{RUNTIME}UNIFIED_RESOURCE_NAMING_ENABLED": "true"},
            {},
            BY_DEFAULT | {"feature-unified-resource-naming"},
        ),
        ({}, {f"{RUNTIME}SPIRE_SUPPORTED": "true"}, {}, BY_DEFAULT | {"feature-spire"}),
        ({}, {}, {"answers_dns": True}, BY_DEFAULT | {"feature-embedded-dns"}),
        ({}, {}, {"redirection": {}}, BY_DEFAULT | {"feature-transparent-proxy-in-dataplane-metadata"}),
    ],
)
def test_features(flags: dict[str, str], environ: dict[str, str], changes: dict[str, Any], features: set[str]) -> None:
    assert set(build(flags, environ, **changes)["features"]) == features


@pytest.mark.parametrize(
    ("flags", "changes", "key", "value"),
    [
        ({}, {}, "dnsPort", 15054),
        ({"dns_enabled": "false"}, {}, "dnsPort", None),
        ({"proxy_type": "egress"}, {}, "dnsPort", None),
        ({}, {}, "dataplaneToken", None),
        ({}, {"token": "t"}, "dataplaneToken", "t"),
        ({}, {"definition": "{}"}, "dataplaneResource", "{}"),
        ({}, {"redirection": {"redirect": {}}}, "dataplaneConfig", {"redirect": {}}),
        ({}, {"host_ip": "192.0.2.1"}, "dynamicMetadata", {"HOST_IP": "192.0.2.1"}),
        ({}, {"memory_limit": 5}, "resources", {"maxHeapSizeBytes": 5}),
        ({}, {}, "ipv6Enabled", True),
        ({}, {"has_ipv6": False}, "ipv6Enabled", False),
        ({}, {}, "caCert", ""),
    ],
)
def test_keys(flags: dict[str, str], changes: dict[str, Any], key: str, value: Any) -> None:
    assert build(flags, **changes).get(key) == value


def test_our_control_plane_reads_all_of_it() -> None:
    import json

    asked = contract.decode_request(json.dumps(build(token="t", definition="{}", redirection={"a": 1})).encode())

    assert asked.version.envoy.kuma_dp_compatible
    assert asked.dataplane_token == "t"
    assert asked.transparent_proxy == {"a": 1}
    assert asked.readiness_port == 9902
    assert asked.otel_env is not None
    assert asked.otel_env["pipeEnabled"] is True


def test_variables_about_collectors_are_told_without_their_values() -> None:
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "key=secret"}
    body = build(environ={f"{RUNTIME}OTEL_PIPE_ENABLED": "false"}, telemetry=environment.read(variables))
    assert body["otelEnv"]["shared"]["headersPresent"] is True
    assert body["otelEnv"]["pipeEnabled"] is False
    assert "secret" not in str(body)


@pytest.mark.parametrize(
    ("number", "compatible"), [("1.38.0", True), ("1.38.9", True), ("1.39.0", False), ("2", False)]
)
def test_compatible_versions(number: str, compatible: bool) -> None:
    assert EnvoyVersion(number, "").is_compatible is compatible
