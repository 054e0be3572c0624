"""The way of a signal to a collector: variables, backend and defaults, field by field."""

from typing import Any

import pytest

from kuma.apps.dataplane.otel import document, routes
from kuma.apps.dataplane.otel import environment as env

Fields = dict[str, Any]
EXPLICIT, DISABLED = {"precedence": "ExplicitFirst"}, {"mode": "Disabled"}


def a_backend(policy: Fields | None = None, signal: Fields | None = None, **fields: Any) -> document.Backend:
    said = {"allow_signal_overrides": True, **(policy or {})}
    made = document.Signal(**{"enabled": True, **(signal or {})})
    return document.Backend(
        **{"name": "main", "socket_path": "/s", "endpoint": "otel:4317", **fields},
        env_policy=document.EnvPolicy(**said),
        logs=made,
    )


def route(backend: document.Backend, host_ip: str = "", **variables: str) -> routes.Route:
    environment = env.read({f"OTEL_EXPORTER_OTLP_{name}": value for name, value in variables.items()})
    return routes.route_of(backend, "logs", environment, host_ip)


def place(found: routes.Route) -> tuple[str, int, bool, str]:
    return found.host, found.port, found.is_tls, found.path


HTTP = {"use_http": True, "endpoint": "otel:4318"}
PROTOBUF = {"PROTOCOL": "http/protobuf"}


@pytest.mark.parametrize(
    ("backend", "variables", "expected"),
    [
        ({}, {}, ("otel", 4317, False, "")),
        ({"endpoint": ":4317"}, {}, ("127.0.0.1", 4317, False, "")),
        ({"endpoint": "[fd00::1]:4317"}, {}, ("fd00::1", 4317, False, "")),
        (HTTP, {}, ("otel", 4318, False, "/v1/logs")),
        ({**HTTP, "path": "/base/"}, {}, ("otel", 4318, False, "/base/v1/logs")),
        ({**HTTP, "use_https": True}, {}, ("otel", 4318, True, "/v1/logs")),
        # A URL in a variable
        ({}, {"ENDPOINT": "https://env:1"}, ("env", 1, True, "")),
        ({}, {"ENDPOINT": "http://env"}, ("env", 80, False, "")),
        ({}, {"ENDPOINT": "https://[fd00::2]"}, ("fd00::2", 443, True, "")),
        ({}, {"ENDPOINT": "http://env:1/base"}, ("otel", 4317, False, "")),
        ({}, {"ENDPOINT": "unix:///tmp/x"}, ("otel", 4317, False, "")),
        ({}, {"ENDPOINT": "http://env:99999"}, ("otel", 4317, False, "")),
        (HTTP, {"ENDPOINT": "http://env:1/base"}, ("env", 1, False, "/base/v1/logs")),
        ({**HTTP, "path": "/own"}, {"ENDPOINT": "http://env:1"}, ("env", 1, False, "/own/v1/logs")),
        (HTTP, {"ENDPOINT": "http://env:1/"}, ("env", 1, False, "/v1/logs")),
        (HTTP, {"LOGS_ENDPOINT": "http://env:1/exact"}, ("env", 1, False, "/exact")),
        (HTTP, {"LOGS_ENDPOINT": "http://env:1"}, ("env", 1, False, "/")),
        # Host and port in a variable
        ({}, {"ENDPOINT": "env:1"}, ("env", 1, False, "")),
        ({}, {"ENDPOINT": "env"}, ("env", 4317, False, "")),
        ({}, {"ENDPOINT": "[fd00::2]"}, ("fd00::2", 4317, False, "")),
        (HTTP, {"ENDPOINT": "env"}, ("env", 4318, False, "/v1/logs")),
        ({}, {"ENDPOINT": "env:1", "INSECURE": "false"}, ("env", 1, True, "")),
        ({"use_https": True}, {"ENDPOINT": "env:1", "INSECURE": "TRUE"}, ("env", 1, False, "")),
        ({}, {"ENDPOINT": "https://env:1", "INSECURE": "true"}, ("env", 1, True, "")),
        # Signals before all
        ({}, {"ENDPOINT": "env:1", "LOGS_ENDPOINT": "logs:2"}, ("logs", 2, False, "")),
        ({}, {"ENDPOINT": "env:1", "TRACES_ENDPOINT": "traces:2"}, ("env", 1, False, "")),
        # Protocols
        ({}, PROTOBUF, ("otel", 4317, False, "/v1/logs")),
        (HTTP, {"PROTOCOL": "grpc"}, ("otel", 4318, False, "")),
        (HTTP, {"PROTOCOL": "grpc", "LOGS_PROTOCOL": "http/protobuf"}, ("otel", 4318, False, "/v1/logs")),
        (HTTP, {"PROTOCOL": "thrift"}, ("otel", 4318, False, "/v1/logs")),
        # The backend first
        ({"policy": EXPLICIT}, {"ENDPOINT": "https://env:1", **PROTOBUF}, ("otel", 4317, False, "")),
        ({"policy": EXPLICIT, "endpoint": ":4317"}, {"ENDPOINT": "https://env:1"}, ("env", 1, True, "")),
        ({"policy": EXPLICIT, "endpoint": ":4317"}, {"ENDPOINT": "https://env:1", **PROTOBUF}, ("env", 1, True, "/v1/logs")),
        ({"policy": EXPLICIT, **HTTP, "endpoint": ":4318"}, {"PROTOCOL": "grpc"}, ("127.0.0.1", 4318, False, "/v1/logs")),
        # Variables that must not be used
        ({"policy": DISABLED}, {"ENDPOINT": "env:1"}, ("otel", 4317, False, "")),
        ({"signal": {"blocked_reasons": ("EnvDisabledByPolicy",)}}, {"ENDPOINT": "env:1"}, ("otel", 4317, False, "")),
        ({"signal": {"blocked_reasons": ("MultipleBackendsForSignal",)}}, {"ENDPOINT": "env:1"}, ("otel", 4317, False, "")),
        (
            {"signal": {"blocked_reasons": ("SignalOverridesDisallowed",)}},
            {"ENDPOINT": "env:1", "LOGS_ENDPOINT": "logs:2"},
            ("env", 1, False, ""),
        ),
        ({"policy": {"allow_signal_overrides": False}}, {"LOGS_ENDPOINT": "logs:2"}, ("otel", 4317, False, "")),
    ],
)  # fmt: skip
def test_places(backend: Fields, variables: dict[str, str], expected: tuple[str, int, bool, str]) -> None:
    assert place(route(a_backend(**backend), **variables)) == expected


def test_a_collector_without_a_place_is_on_the_host_of_the_pod() -> None:
    assert route(a_backend(endpoint=":4317"), host_ip="10.0.0.1").host == "10.0.0.1"
    assert route(a_backend(), host_ip="10.0.0.1").host == "otel"


@pytest.mark.parametrize("policy", [{}, EXPLICIT])
def test_what_only_variables_say(policy: Fields) -> None:
    found = route(
        a_backend(policy=policy),
        HEADERS="a=1",
        LOGS_HEADERS="b=2",
        COMPRESSION="gzip",
        LOGS_COMPRESSION="none",
        TIMEOUT="2500",
        LOGS_TIMEOUT="soon",
        CERTIFICATE="roots.pem",
        CLIENT_CERTIFICATE="cert.pem",
        CLIENT_KEY="key.pem",
        LOGS_CLIENT_KEY="half a pair",
    )
    assert (found.headers, found.is_compressed, found.seconds) == ((("b", "2"),), False, 2.5)
    assert (found.roots, found.certificate, found.key) == ("roots.pem", "cert.pem", "key.pem")
    assert route(a_backend(policy=policy), COMPRESSION="gzip").is_compressed
    assert route(a_backend(policy=policy)).seconds == routes.SECONDS


@pytest.mark.parametrize(
    ("signal", "words"),
    [
        ({"enabled": False}, "no policy"),
        ({"blocked_reasons": ("RequiredEnvMissing",)}, "RequiredEnvMissing"),
        ({"missing_fields": ("client_key",)}, "client_key"),
    ],
)
def test_signals_that_must_not_be_sent(signal: Fields, words: str) -> None:
    with pytest.raises(routes.Blocked, match=words):
        route(a_backend(signal=signal))


def test_headers_are_not_printed() -> None:
    assert "secret" not in repr(route(a_backend(), HEADERS="token=secret"))
