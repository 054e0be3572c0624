"""Virtual probes of a Dataplane."""

from collections.abc import Mapping
from typing import Any

import pytest

from kuma.compiler import compile, probes
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import nodes, proxy
from tests.kit import telemetry, worlds

NOTHING: Mapping[str, Any] = {}
GET = [{"name": ":method", "stringMatch": {"exact": "GET"}}]


def a_proxy(
    *endpoints: dict[str, Any], mode: str = "Disabled", tp: bool = False, metadata: Mapping[str, Any] = NOTHING
) -> tuple[view.MeshView, proxy.ProxyFacts]:
    inbound = {"port": 8080, "servicePort": 80, "name": "http", "tags": {"kuma.io/service": "s"}}
    redirect = {"transparentProxying": {"redirectPortInbound": 15006, "redirectPortOutbound": 15001}} if tp else {}
    dataplane = worlds.resource(
        {
            "type": "Dataplane",
            "name": "d",
            "networking": {"address": "192.168.0.1", "inbound": [inbound], **redirect},
            **({"probes": {"port": 9000, "endpoints": list(endpoints)}} if endpoints else {}),
        }
    )
    there = worlds.world([worlds.a_mesh(meshServices={"mode": mode}), dataplane]).meshes["m"]
    return there, proxy.facts_of(there.dataplanes["d"], metadata)


def made(*endpoints: dict[str, Any], **options: Any) -> list[nodes.ListenerNode]:
    return probes.probe_listeners(*a_proxy(*endpoints, **options))


def an_endpoint(port: int, inside: str, outside: str) -> dict[str, Any]:
    return {"inboundPort": port, "inboundPath": inside, "path": outside}


@pytest.mark.parametrize(
    ("endpoint", "path", "action"),
    [
        (
            an_endpoint(80, "/healthz?full=1", "/80/healthz"),
            "/80/healthz",
            {
                "route": {
                    "cluster": "localhost:80",
                    "regexRewrite": {"pattern": {"regex": ".*"}, "substitution": "/healthz"},
                }
            },
        ),
        (
            an_endpoint(80, "/a\\1", "/80/a%20b"),
            "/80/a b",
            {
                "route": {
                    "cluster": "localhost:80",
                    "regexRewrite": {"pattern": {"regex": ".*"}, "substitution": "/a\\\\1"},
                }
            },
        ),
        (an_endpoint(81, "/up", "/81/up"), "/81/up", {"redirect": {"pathRedirect": "/up", "portRedirect": 81}}),
    ],
)
def test_a_path_stands_for_a_probe(endpoint: dict[str, Any], path: str, action: dict[str, Any]) -> None:
    (listener,) = made(endpoint)
    assert listener.name == "probe:listener"
    found = telemetry.as_json(listener.message)
    assert found["address"]["socketAddress"] == {"address": "192.168.0.1", "portValue": 9000}
    assert "bindToPort" not in found
    config = telemetry.as_json(listener.chains[0].http)["routeConfig"]
    assert config["name"] == "probe:route_configuration"
    assert config["virtualHosts"] == [
        {"name": "probe", "domains": ["*"], "routes": [{"match": {"path": path, "headers": GET}, **action}]}
    ]


def test_names_of_clusters_are_those_of_inbounds() -> None:
    (listener,) = made(
        an_endpoint(80, "/up", "/80/up"), mode="Exclusive", metadata={"features": [proxy.UNIFIED_NAMING]}
    )
    (host,) = telemetry.as_json(listener.chains[0].http)["routeConfig"]["virtualHosts"]
    assert host["routes"][0]["route"]["cluster"] == "self_inbound_dp_http"


def test_redirected_probes_find_it() -> None:
    (listener,) = made(an_endpoint(80, "/up", "/80/up"), tp=True)
    assert telemetry.as_json(listener.message)["bindToPort"] is False


def test_agents_that_probe_need_none() -> None:
    assert made(an_endpoint(80, "/up", "/80/up"), metadata={"dataplane.appProbeProxy.enabled": "true"}) == []
    assert made() == []


def test_it_is_personal_to_the_proxy() -> None:
    there, subject = a_proxy(an_endpoint(80, "/up", "/80/up"))
    compiler = compile.Compiler(())
    own = compiler.own(there, subject, compiler.match(there, subject), compile.Issued(), None)
    assert "probe:listener" in own.sets[xds.LISTENER]
