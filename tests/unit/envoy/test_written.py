"""Envoy messages that users write: what is read, and what is refused in whose words."""

import pytest

from kuma.envoy import constraints, written

CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
HOST = "envoy.config.route.v3.VirtualHost"
LUA = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"
ROUTE = {"match": {"prefix": "/"}, "route": {"cluster": "b"}}


def test_a_packed_type_is_found_without_being_imported_before() -> None:
    message = written.read(HTTP_FILTER, {"name": "lua", "typedConfig": {"@type": LUA, "inlineCode": "x = 1", "no": 1}})
    assert message.typed_config.type_url == LUA
    assert b"x = 1" in message.typed_config.value


def test_unknown_fields_are_dropped_and_both_spellings_read() -> None:
    message = written.read(CLUSTER, {"name": "a", "connect_timeout": "5s", "altStatName": "b", "nope": {"x": 1}})
    assert (message.connect_timeout.seconds, message.alt_stat_name) == (5, "b")


def test_a_patch_need_not_be_complete() -> None:
    document = {"address": {"socketAddress": {"portValue": 8080}}}
    assert written.read(LISTENER, document, whole=False).address.socket_address.port_value == 8080
    with pytest.raises(ValueError, match="value length must be at least 1 runes"):
        written.read(LISTENER, document)


@pytest.mark.parametrize(
    ("type_name", "document", "reason"),
    [
        (CLUSTER, {}, "invalid Cluster.Name: value length must be at least 1 runes"),
        (CLUSTER, {"name": "a", "type": "FOO"}, "unknown value"),
        (
            CLUSTER,
            {"name": "a", "connectTimeout": "0s"},
            "invalid Cluster.ConnectTimeout: value must be greater than 0s",
        ),
        (
            CLUSTER,
            {"name": "a", "loadAssignment": {}},
            "invalid Cluster.LoadAssignment: embedded message failed validation | caused by: "
            "invalid ClusterLoadAssignment.ClusterName: value length must be at least 1 runes",
        ),
        (HOST, {"name": "a"}, "invalid VirtualHost.Domains: value must contain at least 1 item(s)"),
        (
            HOST,
            {"name": "a", "domains": ["a"], "routes": [ROUTE, {"match": {}, "route": {"cluster": "b"}}]},
            "invalid VirtualHost.Routes[1]: embedded message failed validation | caused by: invalid Route.Match: "
            "embedded message failed validation | caused by: invalid RouteMatch.PathSpecifier: value is required",
        ),
        (
            CLUSTER,
            {"name": "a", "outlierDetection": {"maxEjectionPercent": 101}},
            "invalid Cluster.OutlierDetection: embedded message failed validation | caused by: "
            "invalid OutlierDetection.MaxEjectionPercent: value must be less than or equal to 100",
        ),
        (HTTP_FILTER, {"name": "a", "typedConfig": {"@type": "x/os.path.Foo"}}, "could not resolve Any message type"),
        ("google.protobuf.Nope", {}, "could not resolve Any message type: google.protobuf.Nope"),
    ],
)
def test_what_cannot_be_used_is_refused(type_name: str, document: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError) as refusal:
        written.read(type_name, document)
    assert str(refusal.value).startswith(reason)


def test_a_message_that_keeps_the_rules_has_no_violation() -> None:
    assert constraints.first_violation(written.read(HOST, {"name": "a", "domains": ["a"], "routes": [ROUTE]})) == ""
