"""What proxies share where a policy writes something of the proxy itself: everything that does not hold it."""

from typing import Any

import pytest

from kuma.compiler import compile
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies.meshaccesslog import translate as access_log
from kuma.policies.meshtrace import translate as trace
from kuma.policy_engine import policy
from kuma.resources import resource as res
from tests.kit import policies, worlds

FILE = {"type": "File", "file": {"path": "/log"}}
ZIPKIN = {"type": "Zipkin", "zipkin": {"url": "http://zipkin:9411/spans"}}
DATADOG = {"type": "Datadog", "datadog": {"url": "http://datadog:8126"}}
LOGGED = policies.a_policy("MeshAccessLog", "p", to=[{"targetRef": {"kind": "Mesh"}, "default": {"backends": [FILE]}}])


def traced(backend: dict[str, Any]) -> res.Resource[Any]:
    return policies.a_policy("MeshTrace", "p", default={"backends": [backend]})


@pytest.mark.parametrize(
    ("speaker", "given", "listeners"),
    [
        (access_log.POLICY, LOGGED, 2),
        (trace.POLICY, traced(DATADOG), 2),
        (trace.POLICY, traced(ZIPKIN), 1),
    ],
)
def test_nodes_that_clients_share(speaker: policy.Policy, given: res.Resource[Any], listeners: int) -> None:
    clients = [
        worlds.a_dataplane(name, name, address=f"192.168.0.{at}", outbounds={"api": 10001})
        for at, name in enumerate(("web", "job"), 1)
    ]
    empty = view.WorldView(frozenset({speaker.kind.name}))
    world, _ = empty.advance(
        view.Edit(each) for each in (worlds.a_mesh(), *clients, worlds.a_dataplane("api", "api"), given)
    )
    compiler = compile.Compiler([speaker])
    shapes = []
    for each in clients:
        subject = proxy.facts_of(each, {})
        shapes.append(compiler.shape(world.meshes["m"], subject, compiler.match(world.meshes["m"], subject)))
    kinds = {xds.LISTENER: "outbound:127.0.0.1:10001", xds.CLUSTER: "api", xds.ENDPOINT: "api"}
    distinct = {kind: len({id(shape.built[kind, name]) for shape in shapes}) for kind, name in kinds.items()}
    assert distinct == {xds.LISTENER: listeners, xds.CLUSTER: 1, xds.ENDPOINT: 1}
    who = {kind: {each.kind for each in shapes[0].built[kind, name].authors} for kind, name in kinds.items()}
    assert who == {xds.LISTENER: {"Mesh", speaker.kind.name}, xds.CLUSTER: {"Mesh"}, xds.ENDPOINT: set()}
