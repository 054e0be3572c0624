"""The agent's variables about collectors: what is read from them, and what others are told."""

from typing import Any

import pytest

from kuma.apps.dataplane.otel import environment as env
from kuma.plan import environment as contract

OTLP = "OTEL_EXPORTER_OTLP_"
NOBODY: dict[str, Any] = {"pipeEnabled": True, "shared": None, "traces": None, "logs": None, "metrics": None}


def read(**variables: str) -> env.Environment:
    return env.read({f"{OTLP}{name}": value for name, value in variables.items()})


def told(**variables: str) -> dict[str, Any]:
    return env.inventory(read(**variables), is_used=True)


def test_without_variables_there_is_nothing_to_tell() -> None:
    assert told() == NOBODY | {"validationErrors": []}
    assert told(ENDPOINT=" ") == told()
    assert env.inventory(read(), is_used=False)["pipeEnabled"] is False


def test_variables_for_all_signals() -> None:
    found = told(ENDPOINT="https://user:word@collector/base", PROTOCOL="http/protobuf", HEADERS="token=secret")
    assert found["shared"] == {
        "endpointPresent": True,
        "endpointParsedAsURL": True,
        "endpointHasPath": True,
        "protocolPresent": True,
        "headersPresent": True,
        "effectiveProtocol": "http/protobuf",
        "effectiveAuthMode": "headers",
        "overrideKinds": ["endpoint", "headers", "protocol"],
    }
    assert found["validationErrors"] == []


@pytest.mark.parametrize("secret", ["user", "word", "collector", "token", "hidden", "/pem"])
def test_no_value_is_told_or_printed(secret: str) -> None:
    variables = {
        "ENDPOINT": "http://user:word@collector",
        "HEADERS": "token=hidden",
        "CERTIFICATE": "/pem",
        "LOGS_CLIENT_KEY": "/pem",
    }
    assert secret not in repr(told(**variables))
    assert secret not in repr(read(**variables))


def test_variables_for_one_signal_differ_from_those_for_all() -> None:
    found = told(ENDPOINT="a:4317", TIMEOUT="500", LOGS_ENDPOINT="b:4317", LOGS_TIMEOUT="500", LOGS_CLIENT_KEY="k")
    assert found["logs"] == {
        "signal": "logs",
        "endpointPresent": True,
        "timeoutPresent": True,
        "clientKeyPresent": True,
        "effectiveAuthMode": "none",
        "overrideKinds": ["clientKey", "endpoint"],
    }
    assert found["traces"] is None


@pytest.mark.parametrize(
    ("variables", "problems"),
    [
        ({"PROTOCOL": "http/json"}, ["shared.protocol"]),
        ({"TRACES_PROTOCOL": "thrift"}, ["traces.protocol"]),
        ({"COMPRESSION": "zstd"}, ["shared.compression"]),
        ({"COMPRESSION": "GZIP"}, []),
        ({"COMPRESSION": "none"}, []),
        ({"METRICS_TIMEOUT": "10s"}, ["metrics.timeout"]),
        ({"METRICS_TIMEOUT": "-1"}, ["metrics.timeout"]),
        ({"ENDPOINT": "http://collector:4317/base"}, ["shared.endpoint"]),
        ({"ENDPOINT": "http://collector:4318/base", "PROTOCOL": "http/protobuf"}, []),
        ({"LOGS_ENDPOINT": "http://collector:4318/base", "PROTOCOL": "http/protobuf"}, []),
        ({"LOGS_ENDPOINT": "http://collector:4318/base"}, ["logs.endpoint"]),
        ({"LOGS_ENDPOINT": "http://collector:4318/x", "PROTOCOL": "thrift"}, ["shared.protocol"]),
        ({"CLIENT_KEY": "key.pem"}, ["shared.mtls"]),
        ({"CLIENT_KEY": "key.pem", "CLIENT_CERTIFICATE": "cert.pem"}, []),
    ],
)
def test_what_makes_no_sense_is_named(variables: dict[str, str], problems: list[str]) -> None:
    assert told(**variables)["validationErrors"] == problems


@pytest.mark.parametrize(
    ("variables", "mode"),
    [
        ({"CLIENT_KEY": "k", "CLIENT_CERTIFICATE": "c", "CERTIFICATE": "r", "HEADERS": "a=b"}, "mtls"),
        ({"CERTIFICATE": "r", "HEADERS": "a=b"}, "tls"),
        ({"HEADERS": "a=b"}, "headers"),
        ({"TIMEOUT": "1"}, "none"),
    ],
)
def test_how_the_agent_proves_itself(variables: dict[str, str], mode: str) -> None:
    assert told(**variables)["shared"]["effectiveAuthMode"] == mode


def test_the_control_plane_understands_it() -> None:
    found = contract.read(told(ENDPOINT="a:1", LOGS_PROTOCOL="x", TRACES_TIMEOUT="5"))
    assert found.present == {"traces", "logs", "metrics"}
    assert dict(found.overrides) == {"logs": ("protocol",), "traces": ("timeout",)}
    assert found.problems == ("logs.protocol",)
    assert contract.read(told(LOGS_TIMEOUT="5")).present == {"logs"}


@pytest.mark.parametrize(
    ("text", "headers"),
    [
        ("", ()),
        ("Api-Key=a, other = b ", (("api-key", "a"), ("other", "b"))),
        ("authorization=Basic%20YWJj%3D%3D", (("authorization", "Basic YWJj=="),)),
        ("a=1=2", (("a", "1=2"),)),
        ("no value", ()),
        ("a=%0d%0ax: 1,b=ü,c=ok", (("c", "ok"),)),
        ("a b=1,:path=/,=x", ()),
    ],
)
def test_headers(text: str, headers: tuple[tuple[str, str], ...]) -> None:
    assert env.headers_of(env.Layer(headers=text)) == headers
