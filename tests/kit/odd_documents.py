"""Documents of every kind that are right, nearly right, or nothing of the sort, as strategies for random tests."""

import copy
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.kit import examples

MESH = "default"
CORE: list[dict[str, Any]] = [
    {"type": "Mesh", "name": "m", "mtls": {"enabledBackend": "b", "backends": [{"name": "b", "type": "provided", "conf": {"cert": {"inlineString": "x"}, "key": {"secret": "y"}}}]}, "constraints": {"dataplaneProxy": {"requirements": [{"tags": {"a": "b"}}]}}, "routing": {"zoneEgress": True}, "meshServices": {"mode": "Exclusive"}},
    {"type": "Dataplane", "mesh": MESH, "name": "d", "labels": {"a": "b"}, "networking": {"address": "10.0.0.1", "inbound": [{"port": 80, "servicePort": 81, "tags": {"kuma.io/service": "web"}, "serviceProbe": {"interval": "1s", "tcp": {}}}], "outbound": [{"port": 90, "tags": {"kuma.io/service": "db"}}], "transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}}, "metrics": {"name": "p", "type": "prometheus", "conf": {"port": 1234, "tags": {"x": "y"}}}},
    {"type": "Secret", "mesh": MESH, "name": "s", "data": "dGVzdA=="},
    {"type": "GlobalSecret", "name": "g", "data": "dGVzdA=="},
    {"type": "Zone", "name": "z", "enabled": True},
    {"type": "ZoneIngress", "name": "i", "zone": "default", "networking": {"address": "10.0.0.1", "port": 10001, "advertisedAddress": "1.2.3.4", "advertisedPort": 10001}, "availableServices": [{"tags": {"kuma.io/service": "x"}, "mesh": "m", "instances": 1}]},
    {"type": "ZoneEgress", "name": "e", "zone": "default", "networking": {"address": "10.0.0.1", "port": 10002}},
    {"type": "ExternalService", "mesh": MESH, "name": "x", "tags": {"kuma.io/service": "x"}, "networking": {"address": "example.com:443", "tls": {"enabled": True, "caCert": {"inline": "dGVzdA=="}}}},
    {"type": "MeshService", "mesh": MESH, "name": "ms", "spec": {"selector": {"dataplaneTags": {"kuma.io/service": "web"}}, "ports": [{"port": 80, "targetPort": "http", "appProtocol": "http", "name": "main"}], "identities": [{"type": "ServiceTag", "value": "web"}]}},
    {"type": "MeshMultiZoneService", "mesh": MESH, "name": "mz", "spec": {"selector": {"meshService": {"matchLabels": {"a": "b"}}}, "ports": [{"port": 80, "appProtocol": "http"}]}},
    {"type": "MeshExternalService", "mesh": MESH, "name": "me", "spec": {"match": {"type": "HostnameGenerator", "port": 80, "protocol": "http"}, "endpoints": [{"address": "example.com", "port": 80}]}},
    {"type": "HostnameGenerator", "name": "hg", "spec": {"selector": {"meshService": {"matchLabels": {}}}, "template": "{{ .DisplayName }}.mesh"}},
    {"type": "MeshGateway", "mesh": MESH, "name": "gw", "selectors": [{"match": {"kuma.io/service": "edge"}}], "conf": {"listeners": [{"port": 80, "protocol": "HTTP", "tags": {"a": "b"}}]}},
]  # fmt: skip
DOCUMENTS = CORE + [each for found in examples.by_kind().values() for each in found]

TEXTS = (
    "", "1s", "-5s", "99999999999h", "default", "*", "kuma.io/service", "{{ .Name }}", "10.0.0.1",
    "!!bool x", "!!int ''", "[" * 2_000,
)  # fmt: skip
"""The last ones are for fields that hold YAML."""

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(TEXTS)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in items for place in places(each, (*path, key)))]


@st.composite
def near_misses(draw: st.DrawFn) -> dict[str, Any]:
    """A good document with one to three places changed, taken out or added to."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(
            st.sampled_from(
                [each for each in places(document) if each and each[0] not in ("type", "name", "mesh")] or [("labels",)]
            )
        )
        holder = document
        for key in place[:-1]:
            holder = holder[key]
        change = draw(st.sampled_from(["replace", "drop", "add"]))
        if change == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=8))] = draw(JSON)
        elif change == "drop" and isinstance(holder, dict):
            holder.pop(place[-1], None)
        else:
            holder[place[-1]] = draw(JSON)
    return document


TOKENS = (
    "!!python/object:os.system x", "!!binary x", "!!binary aGk=", "!!timestamp x", "2020-13-45", "!!set {a, b}", "!!omap [a: b]",
    "&a [*a]", "&a {b: *a}", "*a", "<<: *a", "<<: {a: b}", "? [a]\n: b", "{[a]: b}", "{1: x, true: y, null: z}", ".nan", "-.inf",
    "1e999", "9" * 5_000, "!!int abc", '!!int ""', "!!float x", "!!bool x", "!!null x", "!!str {}", "!!map []", "!foo bar",
    '"\\ud800"', '"\\x00"', "\x00", "\ufeff", "\u2028", "%YAML 9.9", "---", "...", "- - -", "{", "}", "[", "]", ":", "- ", '"', "'", "|",
    ">-\n", "@", "`", "#", "\t", "~", "yes", "0o8", "190:20:30", "=", "<<", "[" * 3_000, "{a: " * 3_000, "- " * 3_000, "name: 3",
    "type: []", "labels: {1: 2}", "labels: [x]", "spec: 3", "status: []", "{{ a }}", "{{#a}}", "{{/a}}", "{{> a}}", "{{=<% %>=}}",
    "{{", "}}", "{{{", "{{}}", "{{!",
)  # fmt: skip
"""What YAML and the placeholders of `kumactl apply` can trip over."""


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A text for `kumactl apply`: a document that is nearly right, with odd pieces put in or in place of others."""
    text = draw(st.just("") | near_misses().map(_written))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 1, 5, 20])))
        text = text[:start] + draw(st.sampled_from(TOKENS) | st.text(max_size=5)) + text[end:]
    return text


def _written(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, allow_unicode=True)
