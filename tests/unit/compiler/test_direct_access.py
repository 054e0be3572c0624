"""Instances that an application dials by their own addresses."""

from typing import Any

import pytest

from kuma.compiler import compile, direct_access
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from tests.kit import telemetry, worlds

METRICS = {"enabledBackend": "p", "backends": [{"name": "p", "type": "prometheus", "conf": {"port": 5670}}]}


def a_caller(*services: str, outbound: str = "127.0.0.1", redirects: bool = True) -> res.Resource[Any]:
    ports = {"redirectPortInbound": 15006, "redirectPortOutbound": 15001} if redirects else {}
    networking = {
        "address": "192.168.0.1",
        "inbound": [{"port": 8080, "tags": {"kuma.io/service": "web"}}],
        "outbound": [{"port": 8080, "address": outbound, "tags": {"kuma.io/service": "api"}}],
        "transparentProxying": {**ports, "directAccessServices": services},
    }
    return worlds.resource({"type": "Dataplane", "name": "web", "networking": networking})


def picture(caller: res.Resource[Any], **mesh: Any) -> view.MeshView:
    others = [
        worlds.a_dataplane("api-1", "api", address="192.168.0.2"),
        worlds.a_dataplane("api-2", "api", address="fd00::2"),
        worlds.a_dataplane("db", "db", address="192.168.0.3", port=5432),
        worlds.a_dataplane("web-2", "web", address="192.168.0.4"),
        worlds.a_dataplane("named", "api", address="api.local"),
        worlds.a_dataplane("beside", "api", address="192.168.0.1"),
    ]
    return worlds.world([worlds.a_mesh(**mesh), caller, *others]).meshes["m"]


def made(caller: res.Resource[Any], **mesh: Any) -> tuple[list[nodes.ListenerNode], list[nodes.ClusterNode]]:
    there = picture(caller, **mesh)
    return direct_access.direct_nodes(there, proxy.facts_of(there.dataplanes["web"], {}))


@pytest.mark.parametrize(
    ("caller", "mesh", "expected"),
    [
        (a_caller("api"), {}, ["192.168.0.2:8080", "fd00::2:8080"]),
        (a_caller("db", "web"), {}, ["192.168.0.3:5432", "192.168.0.4:8080"]),
        (a_caller("*"), {}, ["192.168.0.2:8080", "192.168.0.3:5432", "192.168.0.4:8080", "fd00::2:8080"]),
        (a_caller("api", outbound="192.168.0.2"), {}, ["fd00::2:8080"]),
        (a_caller("dataplane-metrics"), {}, []),
        (
            a_caller("dataplane-metrics"),
            {"metrics": METRICS},
            ["192.168.0.2:5670", "192.168.0.3:5670", "192.168.0.4:5670", "fd00::2:5670"],
        ),
    ],
)
def test_each_instance_has_a_listener(caller: res.Resource[Any], mesh: dict[str, Any], expected: list[str]) -> None:
    listeners, (cluster,) = made(caller, **mesh)
    assert [each.name for each in listeners] == [f"direct_access_{each}" for each in expected]
    assert (cluster.name, cluster.tls) == ("direct_access", None)
    found = telemetry.as_json(cluster.message)
    assert (found["type"], found["lbPolicy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")


def test_a_listener_takes_what_is_redirected() -> None:
    (listener,), _ = made(a_caller("db"))
    assert telemetry.as_json(listener.message) == {
        "name": "direct_access_192.168.0.3:5432",
        "address": {"socketAddress": {"address": "192.168.0.3", "portValue": 5432}},
        "trafficDirection": "OUTBOUND",
        "bindToPort": False,
    }
    (chain,) = listener.chains
    assert telemetry.as_json(chain.tcp) == {
        "statPrefix": "direct_access_192_168_0_3_5432",
        "cluster": "direct_access",
    }


@pytest.mark.parametrize("caller", [a_caller(), a_caller("api", redirects=False)])
def test_nothing_is_dialled_directly(caller: res.Resource[Any]) -> None:
    assert made(caller) == ([], [])


def test_whoever_answers_has_to_be_of_the_mesh() -> None:
    _, (cluster,) = made(a_caller("api"), mtls=worlds.BUILTIN)
    context = telemetry.as_json(cluster.tls)
    validation = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    assert [each["matcher"] for each in validation["matchTypedSubjectAltNames"]] == [{"prefix": "spiffe://m/"}]
    assert "sni" not in context


def test_listeners_are_personal_to_the_caller() -> None:
    there = picture(a_caller("api"))
    subject = proxy.facts_of(there.dataplanes["web"], {})
    compiler = compile.Compiler(())
    own = compiler.own(there, subject, compiler.match(there, subject), compile.Issued(), None)
    assert "direct_access_192.168.0.2:8080" in own.sets[xds.LISTENER]
    assert "direct_access" in own.sets[xds.CLUSTER]


def test_callers_are_looked_at_again_when_others_move() -> None:
    def touched(world: view.WorldView, *edits: view.Edit) -> tuple[view.WorldView, set[str]]:
        after, found = world.advance(edits)
        return after, {each.name for each in found.proxies}

    world = worlds.world([worlds.a_mesh(), a_caller("api")])
    joined = worlds.a_dataplane("api-1", "api")
    world, names = touched(world, view.Edit(joined))
    assert names == {"api-1", "web"}
    world, names = touched(world, view.Edit(joined, deleted=True))
    assert names == {"api-1", "web"}
    world, names = touched(world, view.Edit(a_caller()))
    assert names == {"web"}
    world, names = touched(world, view.Edit(joined))
    assert names == {"api-1"}
