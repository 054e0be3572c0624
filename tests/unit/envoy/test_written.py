"""Envoy messages that users write: what is read, and what is refused in whose words."""

import contextlib
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import envoy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from validate import validate_pb2

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


NAMES = (
    "name",
    "type",
    "connectTimeout",
    "loadAssignment",
    "endpoints",
    "typedConfig",
    "@type",
    "metadata",
    "healthChecks",
)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["5s", "x", LUA, "x/google.protobuf.Any"])
)
DOCUMENTS = st.recursive(
    LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from(NAMES), each), max_leaves=12
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([CLUSTER, HTTP_FILTER]), st.dictionaries(st.sampled_from(NAMES), DOCUMENTS))
def test_no_document_breaks_the_reader(type_name: str, document: dict[str, object]) -> None:
    with contextlib.suppress(ValueError):
        assert written.read(type_name, document, whole=False).DESCRIPTOR.full_name == type_name
    with contextlib.suppress(ValueError):
        assert constraints.first_violation(written.read_any(document)) == ""


NUMBERS = {f"{kind}.{rule}" for kind in ("double", "float", "int32", "int64", "uint32", "uint64") for rule in (
    "gt", "gte", "lt", "lte", "in", "not_in")}  # fmt: skip
TEXTS = {f"string.{rule}" for rule in (
    "min_len", "max_len", "max_bytes", "prefix", "suffix", "pattern", "in", "not_in", "well_known_regex", "strict",
    "ignore_empty")}  # fmt: skip
UNDERSTOOD = (
    NUMBERS
    | TEXTS
    | {"bytes.min_len", "bytes.max_len", "bool.const", "enum.defined_only", "enum.in", "enum.not_in"}
    | {f"duration.{rule}" for rule in ("gt", "gte", "lt", "lte", "required")}
    | {"any.required", "message.required", "message.skip"}
    | {"repeated.min_items", "repeated.max_items", "repeated.unique", "map.min_pairs"}
)


def test_every_constraint_of_the_api_is_understood() -> None:
    found = {name for message in _messages() for field in message.fields for name in _rule_names(field)}
    assert "string.min_len" in found
    assert found <= UNDERSTOOD


def _rule_names(field: Any) -> Iterator[str]:
    waiting = [field.GetOptions().Extensions[validate_pb2.rules]]
    while waiting:
        for kind, rules in waiting.pop().ListFields():
            for each, value in rules.ListFields():
                if each.name in ("items", "keys", "values"):
                    waiting.append(value)
                else:
                    yield f"{kind.name}.{each.name}"


def _messages() -> Iterator[Any]:
    """Every message of Envoy's v3 API."""
    for module in pkgutil.walk_packages(envoy.__path__, "envoy."):
        if module.name.endswith("_pb2") and ".v3." in module.name:
            waiting = list(importlib.import_module(module.name).DESCRIPTOR.message_types_by_name.values())
            while waiting:
                message = waiting.pop()
                yield message
                waiting.extend(message.nested_types)


def test_fields_of_the_envoy_that_runs_are_known() -> None:
    value = {"objectKey": "k", "formatString": {"textFormatSource": {"inlineString": "%REQUESTED_SERVER_NAME%"}}}
    name = "envoy.extensions.filters.network.set_filter_state.v3.Config"
    message = written.read(name, {"onDownstreamTlsHandshake": [value]})
    assert message.on_downstream_tls_handshake[0].object_key == "k"
