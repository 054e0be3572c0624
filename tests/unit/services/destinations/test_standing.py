"""How a MeshService stands, by the proxies that serve it."""

from typing import Any

import pytest

from kuma.mesh import selectors, spiffe_ids
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight, meshservice
from kuma.services.destinations import members, standing
from tests.kit import destinations as kit

PORTS = [{"port": 8080}]
MTLS = {"mtls": {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]}}
NOT_READY = {"state": "NotReady"}


def stand(
    *serving: members.Member, ports: Any = PORTS, mesh: Any = None, tls: str = "", identities: Any = ()
) -> tuple[meshservice.MeshService, meshservice.MeshServiceStatus]:
    own = kit.service({"selector": {"dataplaneTags": {"kuma.io/service": "web"}}, "ports": ports})
    status = meshservice.MeshServiceStatus(tls=meshservice.Tls(status=tls))
    own = res.Resource(own.kind, own.meta, own.spec, status)
    after = standing.with_standing(own, serving, kit.resource("Mesh", "m", mesh, mesh="").spec, identities)
    return after.spec, standing.status_of(after)


@pytest.mark.parametrize(
    ("ports", "inbounds", "expected"),
    [
        (PORTS, [kit.inbound()], True),
        (PORTS, [kit.inbound(**NOT_READY)], False),
        (PORTS, [kit.inbound(health={"ready": False})], False),
        (PORTS, [kit.inbound(port=1)], False),
        (PORTS, [kit.inbound(port=1), kit.inbound()], True),
        ([{"port": 80, "targetPort": 8080}], [kit.inbound()], True),
        ([{"port": 80, "targetPort": "main"}], [kit.inbound(name="main")], True),
        ([{"port": 80, "targetPort": "main"}], [kit.inbound()], False),
        ([{"port": 80, "name": "main"}], [kit.inbound(name="main")], True),
        ([{"port": 8080}, {"port": 81}], [kit.inbound()], False),
        ([], [], True),
    ],
)
def test_a_proxy_is_healthy_when_each_port_is_served(ports: Any, inbounds: Any, expected: bool) -> None:
    spec, status = stand(kit.member("web-1", *inbounds), ports=ports)
    assert (status.dataplane_proxies.healthy, spec.state) == ((1, "Available") if expected else (0, "Unavailable"))


def test_counts() -> None:
    found = stand(
        kit.member("a", kit.inbound(), connected=True),
        kit.member("b", kit.inbound()),
        kit.member("c", kit.inbound(**NOT_READY), connected=True),
    )[1]
    assert found.dataplane_proxies == meshservice.DataplaneProxies(connected=2, healthy=2, total=3)
    assert stand()[0].state == "Unavailable"


@pytest.mark.parametrize(
    ("mesh", "before", "certified", "expected"),
    [
        ({}, "", [True], "NotReady"),
        ({}, "Ready", [True], "NotReady"),
        (MTLS, "", [True, True], "Ready"),
        (MTLS, "", [True, False], "NotReady"),
        (MTLS, "Ready", [True, False], "Ready"),
        (MTLS, "", [], "Ready"),
    ],
)
def test_tls_is_ready_once_all_have_a_certificate_and_stays_so(
    mesh: Any, before: str, certified: list[bool], expected: str
) -> None:
    serving = [kit.member(f"p{index}", kit.inbound(), certified=each) for index, each in enumerate(certified)]
    assert stand(*serving, mesh=mesh, tls=before)[1].tls.status == expected


def identity(
    name: str, wanted: dict[str, str] | None, *, status: str = "True", reason: str = "Ready", **spiffe: str
) -> Any:
    spec = {
        "selector": {"dataplane": {"matchLabels": wanted}} if wanted is not None else {},
        "spiffeID": spiffe,
        "provider": {"type": "Bundled", "bundled": {}},
    }
    found = kit.resource("MeshIdentity", name, {"spec": spec})
    state = conditions.Status((conditions.Condition("Ready", status, reason, ""),))
    return spiffe_ids.identity_of(res.Resource(found.kind, found.meta, found.spec, state), "east", "universal")


def test_identities_are_service_tags_then_spiffe_ids() -> None:
    web = kit.member("web-1", kit.inbound(), kit.inbound("admin", 1), labels={"kuma.io/workload": "w"}, certified=True)
    spec, status = stand(web, identities=[identity("all", {})])
    assert [(each.type, each.value) for each in spec.identities] == [
        ("ServiceTag", "admin"),
        ("ServiceTag", "web"),
        ("SpiffeID", "spiffe://m.east.mesh.local/workload/w"),
    ]
    assert status.tls.status == "Ready"


def test_an_identity_that_is_about_to_come_is_told_of_beside_the_one_in_force() -> None:
    web = kit.member("web-1", kit.inbound(), labels={"kuma.io/workload": "w"})
    coming = identity("next", {}, status="False", reason="PartiallyReady", trustDomain="next.io")
    failed = identity("bad", {}, status="False", reason="Failure", trustDomain="bad.io")
    assert failed is None
    spec, _ = stand(web, identities=[identity("all", {}), coming])
    assert [each.value for each in spec.identities if each.type == "SpiffeID"] == [
        "spiffe://m.east.mesh.local/workload/w",
        "spiffe://next.io/workload/w",
    ]


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({"dataplaneRef": {"name": "web-1"}}, True),
        ({"dataplaneRef": {"name": "web-2"}}, False),
        ({"dataplaneTags": {"kuma.io/service": "web", "v": "1"}}, True),
        ({"dataplaneTags": {"kuma.io/service": "web", "v": "2"}}, False),
        ({"dataplaneTags": {}}, False),
        ({"dataplaneLabels": {"matchLabels": {"team": "a"}}}, True),
        ({"dataplaneLabels": {"matchLabels": {"team": "b"}}}, False),
        ({"dataplaneLabels": {}}, False),
        ({"dataplaneTags": {"v": "3"}}, False),
    ],
)
def test_selectors_and_their_terms_agree(selector: Any, expected: bool) -> None:
    """Tags have to be those of one inbound; the term of a selector never hides a proxy that it selects."""
    proxy = kit.member(
        "web-1",
        kit.inbound(tags={"v": "1"}),
        kit.inbound("admin", 1, tags={"v": "2"}),
        kit.inbound("gone", 2, tags={"v": "3"}, state="Ignored"),
        labels={"team": "a"},
    )
    own = kit.service({"selector": selector}).spec.selector
    assert proxy.is_selected(own) is expected
    assert not expected or selectors.term_of(own) in proxy.terms()


def test_without_a_selector_there_is_no_term() -> None:
    assert selectors.term_of(None) is selectors.term_of(meshservice.Selector()) is None


def test_a_gateway_is_selected_by_its_tags() -> None:
    edge = kit.member("edge-1", gateway={"tags": {"kuma.io/service": "edge"}})
    assert edge.is_selected(meshservice.Selector(dataplane_tags={"kuma.io/service": "edge"}))


def test_what_an_insight_says() -> None:
    assert members.connection_of(kit.insight("a", certificate=True).spec) == members.Connection(True, True)
    assert members.connection_of(kit.insight("a", online=False).spec) == members.Connection()
    assert members.connection_of(dataplaneinsight.DataplaneInsight()) == members.Connection()
