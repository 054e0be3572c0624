"""Flags, environment, defaults: who wins, and what a bad value is called."""

from typing import Any

import pytest

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.base import durations


@pytest.mark.parametrize(
    ("flags", "environ", "field", "value"),
    [
        ({}, {}, "cp_address", "https://localhost:5678"),
        ({}, {"KUMA_CONTROL_PLANE_URL": "https://cp:1"}, "cp_address", "https://cp:1"),
        ({"cp_address": "https://cp:2"}, {"KUMA_CONTROL_PLANE_URL": "https://cp:1"}, "cp_address", "https://cp:2"),
        ({}, {"KUMA_CONTROL_PLANE_URL": ""}, "cp_address", "https://localhost:5678"),
        ({}, {}, "drain_time", 30 * durations.SECOND),
        ({"drain_time": "1m30s"}, {}, "drain_time", 90 * durations.SECOND),
        ({}, {"KUMA_READINESS_PORT": "19902"}, "readiness_port", 19902),
        ({"skip_verify": "true"}, {}, "skip_verify", True),
        ({"dns_enabled": "false"}, {"KUMA_DNS_ENABLED": "true"}, "dns_enabled", False),
        ({"variables": ["a=1,b=2", "c.d=x=y"]}, {}, "variables", (("a", "1"), ("b", "2"), ("c.d", "x=y"))),
        ({"variables": ['"tags=a,b"']}, {}, "variables", (("tags", "a,b"),)),
        (
            {"transparent_proxy_config": ["a.yaml,b.yaml", "-"]},
            {},
            "transparent_proxy_config",
            ("a.yaml", "b.yaml", "-"),
        ),
        ({}, {"KUMA_DATAPLANE_RUNTIME_TOKEN_PATH": "/t"}, "token_file", "/t"),
    ],
)
def test_precedence_and_parsing(flags: dict[str, Any], environ: dict[str, str], field: str, value: Any) -> None:
    assert getattr(conf.load_settings(flags, environ), field) == value


@pytest.mark.parametrize(
    ("flags", "environ", "text"),
    [
        ({"drain_time": "x"}, {}, 'invalid argument "x" for "--drain-time" flag: time: invalid duration "x"'),
        ({"drain_time": "0s"}, {}, ".Dataplane is not valid: .DrainTime must be positive"),
        ({}, {"KUMA_READINESS_PORT": "0"}, ".Dataplane is not valid: .ReadinessPort has to be in (0, 65535] range"),
        ({}, {"KUMA_READINESS_PORT": "-1"}, 'invalid argument "-1" for KUMA_READINESS_PORT'),
        ({}, {"KUMA_DNS_PROXY_PORT": "70000"}, ".DNS is not valid: .ProxyPort has to be in [0, 65535] range"),
        (
            {},
            {"KUMA_DATAPLANE_RUNTIME_DYNAMIC_CONFIGURATION_REFRESH_INTERVAL": "0s"},
            ".DynamicConfiguration.RefreshInterval must be positive",
        ),
        ({"proxy_type": "alien"}, {}, 'invalid proxy type "alien"'),
        ({"cp_address": "localhost:5678"}, {}, ".Url is not valid: .URL must be a valid absolute URI"),
        ({"cp_address": "https://h:x"}, {}, ".Url is not valid: .URL must be a valid absolute URI"),
        ({"skip_verify": "maybe"}, {}, '"--skip-verify" flag: strconv.ParseBool: parsing "maybe": invalid syntax'),
        ({"variables": ["novalue"]}, {}, "novalue must be formatted as key=value"),
        (
            {},
            {"KUMA_DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT": "REST"},
            "Must be one of: DELTA_GRPC or GRPC when defined",
        ),
    ],
)
def test_refusals(flags: dict[str, Any], environ: dict[str, str], text: str) -> None:
    with pytest.raises(AgentError) as refused:
        conf.load_settings(flags, environ)
    assert text in str(refused.value)


def test_broken_rules_are_told_together_by_section() -> None:
    with pytest.raises(AgentError) as refused:
        conf.load_settings({"drain_time": "0s", "cp_address": "nowhere"}, {"KUMA_READINESS_PORT": "0"})
    assert str(refused.value) == (
        ".ControlPlane is not valid: .Url is not valid: .URL must be a valid absolute URI; "
        ".Dataplane is not valid: .DrainTime must be positive; .ReadinessPort has to be in (0, 65535] range"
    )


@pytest.mark.parametrize(
    ("name", "mesh", "proxy_type", "text"),
    [
        ("", "m", "dataplane", ".Name must be non-empty"),
        ("n", "", "dataplane", ".Mesh must be non-empty"),
        ("$(POD)", "m", "dataplane", '.Name "$(POD)" contains invalid characters'),
        ("n", "{m}", "dataplane", '.Mesh "{m}" contains invalid characters'),
    ],
)
def test_identity(name: str, mesh: str, proxy_type: str, text: str) -> None:
    with pytest.raises(AgentError, match="Dataplane is not valid") as refused:
        conf.check_identity(name, mesh, proxy_type)
    assert text in str(refused.value)


def test_zone_proxies_have_no_mesh() -> None:
    conf.check_identity("in", "", "ingress")


def test_every_row_has_its_field_and_every_flag_is_unique() -> None:
    fields = set(conf.Settings.__dataclass_fields__) - {"given"}
    flags = [flag for row in conf.ROWS for flag in row.flags]

    assert [row.field for row in conf.ROWS if row.field not in fields] == []
    assert len(flags) == len(set(flags))
