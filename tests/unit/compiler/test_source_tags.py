"""The header that tells servers the tags of their clients: there while some policy of the mesh asks for it."""

from typing import Any

import pytest
from google.protobuf import json_format

from kuma.compiler import compile, matched
from kuma.discovery import resources as xds
from kuma.envoy import api
from kuma.mesh import view
from kuma.plan import proxy
from tests.kit import policies, worlds

FAULTS = policies.a_policy(
    "MeshFaultInjection", "f", {"kind": "Dataplane", "labels": {"app": "other"}}, rules=[{"default": {"http": []}}]
)
HEADER = {"header": {"key": "x-kuma-tags", "value": "&kuma.io/protocol=http&&kuma.io/service=web&"}}


@pytest.fixture
def world() -> view.WorldView:
    calls: dict[str, Any] = {"outbounds": {"api": 10001, "db": 10002}}
    return worlds.world(
        [
            worlds.a_mesh(),
            worlds.a_dataplane("web-1", "web", **calls),
            worlds.a_dataplane("web-2", "web", address="192.168.0.2", **calls),
            worlds.a_dataplane("job", "job", address="192.168.0.3", **calls),
            worlds.a_dataplane("api", "api", address="192.168.0.4"),
            worlds.a_dataplane("db", "db", address="192.168.0.5", protocol="tcp"),
            FAULTS,
        ]
    )


def said(world: view.WorldView, name: str) -> matched.Matched:
    picture = world.meshes["m"]
    return compile.Compiler(()).match(picture, proxy.facts_of(picture.dataplanes[name], {}))


def headers(world: view.WorldView, name: str) -> dict[str, Any]:
    """The headers that each outbound of a proxy adds to requests."""
    picture = world.meshes["m"]
    subject = proxy.facts_of(picture.dataplanes[name], {})
    shape = compile.Compiler(()).shape(picture, subject, said(world, name))
    out = {}
    for listener, rendered in shape.sets[xds.LISTENER].items():
        made = json_format.MessageToDict(api.Listener.FromString(rendered.value))
        manager = made["filterChains"][0]["filters"][0]["typedConfig"]
        out[listener] = manager.get("routeConfig", {}).get("requestHeadersToAdd")
    return out


def test_servers_of_http_are_told(world: view.WorldView) -> None:
    assert headers(world, "web-1") == {"outbound:127.0.0.1:10001": [HEADER], "outbound:127.0.0.1:10002": None}


def test_nobody_is_told_where_no_policy_asks(world: view.WorldView) -> None:
    without, touched = world.advance([view.Edit(FAULTS, deleted=True)])
    assert touched.policies
    assert set(headers(without, "web-1").values()) == {None}
    assert said(world, "web-1").shared_key != said(without, "web-1").shared_key


def test_replicas_share_what_they_tell(world: view.WorldView) -> None:
    one, two, other = (said(world, name) for name in ("web-1", "web-2", "job"))
    assert one.source_tags == two.source_tags != other.source_tags
    assert one.shared_key[2:] == two.shared_key[2:] != other.shared_key[2:]  # type: ignore[index]
