"""What policies say of the inbounds and destinations of one proxy."""

from typing import Any

import pytest

from kuma.base import kri
from kuma.policy_engine.matching import matching
from kuma.policy_engine.merging import matches_hash, rules
from tests.kit import policies

WEB = {"kuma.io/service": "web"}
ZONE = {"kuma.io/origin": "zone", "kuma.io/zone": "east"}
MESH = {"kind": "Mesh"}


def backend(section: str = "", name: str = "backend", zone: str = "") -> kri.Kri:
    return kri.Kri("msvc", "m", zone, "", name, section)


def seconds(found: rules.Merged[Any] | None) -> int | None:
    return None if found is None else found.conf.idle_timeout.nanoseconds // 10**9


def last_word(*policies_: Any) -> int | None:
    """The timeout to a destination, of policies that all say one."""
    return seconds(policies.match(list(policies_), policies.a_subject(WEB)).to.of(backend()))


@pytest.mark.parametrize(
    ("loser", "winner"),
    [
        ({"target": MESH}, {"target": {"kind": "Dataplane"}}),
        ({"target": {"kind": "Dataplane"}}, {"target": {"kind": "Dataplane", "name": "dp"}}),
        ({"target": {"kind": "Dataplane"}}, {"target": {"kind": "MeshSubset", "tags": WEB}}),
        ({"target": {"kind": "MeshSubset", "tags": WEB}}, {"target": {"kind": "MeshService", "name": "web"}}),
        ({"target": {"kind": "MeshService", "name": "web"}}, {"target": {"kind": "MeshServiceSubset", "name": "web"}}),
        ({"labels": {"kuma.io/origin": "global"}}, {}),
        ({}, {"labels": {"kuma.io/origin": "zone"}}),
        ({"labels": {"kuma.io/origin": "zone"}}, {"target": {"kind": "Dataplane"}, "labels": {"kuma.io/origin": "global"}}),
        ({}, {"labels": {"kuma.io/policy-role": "producer"}}),
        ({}, {"to": {"kind": "MeshService", "name": "backend"}}),
        ({"name": "b"}, {"name": "a"}),
        ({"name": "a", "labels": {"kuma.io/display-name": "z"}}, {"name": "b"}),
    ],
    ids=str,
)  # fmt: skip
def test_precedence(loser: dict[str, Any], winner: dict[str, Any]) -> None:
    one = policies.a_timeout(**{"name": "same", "seconds": 1, **loser})
    other = policies.a_timeout(**{"name": "same", "seconds": 2, **winner})
    service = policies.a_service("backend", http=80)
    for several in ([one, other], [other, one]):
        found = policies.match(several, policies.a_subject(WEB), service).to
        assert seconds(found.of(backend())) == 2


def test_later_entries_of_a_policy_override_earlier_ones() -> None:
    to = [{"targetRef": MESH, "default": {"idleTimeout": f"{each}s"}} for each in (1, 2)]
    assert last_word(policies.a_policy("MeshTimeout", "p", to=to)) == 2


def test_a_destination_has_the_rule_of_its_port_or_its_own_or_that_of_the_mesh() -> None:
    made = [
        policies.a_timeout("mesh", 1),
        policies.a_timeout("service", 2, to={"kind": "MeshService", "name": "backend"}),
        policies.a_timeout("port", 3, to={"kind": "MeshService", "name": "backend", "sectionName": "http"}),
        policies.a_timeout("nothing", 4, to={"kind": "MeshService", "name": "backend", "sectionName": "other"}),
    ]
    found = policies.match(made, policies.a_subject(WEB), policies.a_service("backend", http=80, admin=81)).to
    assert seconds(found.of(backend("http"))) == 3
    assert seconds(found.of(backend("admin"))) == 2
    assert seconds(found.of(backend())) == 2
    assert seconds(found.of(backend("http", "other"))) == 1
    assert found.of(backend("http")) is found.of(backend("http"))
    assert [each.name for each in found.of(backend("http")).origins] == ["mesh", "service", "port"]
    assert [str(each.target) for each in found.resource_rules.all()] == [
        "kri_m____m_",
        "kri_msvc_m___backend_",
        "kri_msvc_m___backend_http",
    ]


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        ({"name": "backend"}, ["backend"]),
        ({"labels": {"app": "x"}}, ["backend", "elsewhere"]),
        ({"labels": {"app": "x"}, "sectionName": "http"}, ["backend http"]),
        ({"name": "backend_ns_svc_80"}, ["spaced http"]),
        ({"name": "backend_ns_svc_81"}, []),
        ({"name": "backend_ns_svc"}, ["spaced"]),
        ({"name": "backend_ns_svc_80", "sectionName": "http"}, []),
        ({"name": "missing"}, []),
        ({"name": "backend", "namespace": "ns"}, []),
    ],
)
def test_what_a_target_leads_to(to: dict[str, Any], expected: list[str]) -> None:
    """A name stays in the policy's zone, labels reach everywhere, a name of Kubernetes means namespace and port."""
    named = {"k8s.kuma.io/namespace": "ns", "kuma.io/display-name": "backend", "kuma.io/zone": "west"}
    services = [
        policies.a_service("backend", {"app": "x", **ZONE}, http=80),
        policies.a_service("elsewhere", {"app": "x", "kuma.io/zone": "west"}, tcp=80),
        policies.a_service("spaced", named, http=80),
    ]
    policy = policies.a_timeout("p", 1, to={"kind": "MeshService", **to}, labels=ZONE)
    found = policies.match([policy], policies.a_subject(WEB), *services).to.resource_rules.all()
    assert sorted(f"{each.resource.meta.name} {each.target.section}".strip() for each in found) == expected


def test_outbounds_by_tag_know_the_mesh_and_their_service() -> None:
    made = [policies.a_timeout("mesh", 1), policies.a_timeout("a", 2, to={"kind": "MeshService", "name": "a"})]
    found = policies.match(made, policies.a_subject(WEB)).to
    assert seconds(found.of_service("a")) == 2
    assert seconds(found.of_service("a", {"version": "v1"}, "hash")) == 2
    assert seconds(found.of_service("b")) == 1


def test_a_policy_on_a_route_is_about_the_rules_of_the_route_alone() -> None:
    match = [{"path": {"type": "Exact", "value": "/a"}}]
    to = {"targetRef": {"kind": "MeshService", "name": "a"}, "rules": [{"matches": match, "default": {}}]}
    route = policies.a_policy("MeshHTTPRoute", "route", to=[to])
    at = matches_hash.matches_hash(route.spec.to[0].rules[0].matches)
    made = [policies.a_timeout("all", 1), policies.a_timeout("routed", 2, {"kind": "MeshHTTPRoute", "name": "route"})]
    found = policies.match(made, policies.a_subject(WEB), route)
    assert seconds(found.to.of_service("a", matches_hash=at)) == 2
    assert seconds(found.to.of_service("a", matches_hash="other")) == 1
    assert seconds(found.to.of_service("b", matches_hash=at)) == 1
    assert seconds(found.to.of(backend())) == 1
    assert found.warnings == ()


def test_an_entry_about_a_route_beats_those_about_the_destination() -> None:
    route = policies.a_policy("MeshHTTPRoute", "route", to=[])
    made = [
        policies.a_timeout("service", 1, to={"kind": "MeshService", "name": "backend"}),
        policies.a_timeout("route", 2, to={"kind": "MeshHTTPRoute", "name": "route"}),
    ]
    found = policies.match(made, policies.a_subject(WEB), route, policies.a_service("backend", http=80)).to
    own = kri.Kri("mhttpr", "m", "", "", "route", "rule_0")
    assert seconds(found.of_route(own, backend("http"))) == 2
    assert seconds(found.of_route(kri.Kri("mhttpr", "m", "", "", "other"), backend("http"))) == 1
    assert seconds(found.of_route(None, backend("http"))) == 1
    assert found.of_service("backend") is not None


def test_a_policy_on_a_route_that_does_not_exist_is_warned_about() -> None:
    found = policies.match(
        [policies.a_timeout("p", 1, {"kind": "MeshHTTPRoute", "name": "x"})], policies.a_subject(WEB)
    )
    assert found.policies == ()
    [warning] = found.warnings
    assert warning == (
        "unable to resolve TargetRef on policy: mesh:m name:p "
        "error:\"couldn't resolve MeshHTTPRoute targetRef with name 'x'\""
    )
    elsewhere = policies.a_timeout(
        "p", 1, {"kind": "MeshHTTPRoute", "name": "x"}, labels={**ZONE, "kuma.io/zone": "west"}
    )
    assert policies.match([elsewhere], policies.a_subject(WEB, labels=ZONE)).warnings == ()


def test_shadow_policies_speak_only_when_they_are_asked() -> None:
    made = [policies.a_timeout("p", 1, labels={"kuma.io/effect": "shadow"})]
    assert policies.match(made, policies.a_subject(WEB)).to.of(backend()) is None
    assert seconds(policies.match(made, policies.a_subject(WEB), with_shadow=True).to.of(backend())) == 1


def spiffe(kind: str, sni: bool = False) -> dict[str, Any]:
    match: dict[str, Any] = {"spiffeID": {"type": kind, "value": "spiffe://m/a"}} if kind else {}
    return match | ({"sni": {"type": "Exact", "value": "a.io"}} if sni else {})


def test_rules_of_inbounds_stand_from_the_most_specific_to_those_for_all_which_are_merged() -> None:
    def a_rule(number: int, *matches: Any) -> dict[str, Any]:
        return {"default": {"idleTimeout": f"{number}s"}, **({"matches": list(matches)} if matches else {})}

    low = policies.a_policy(
        "MeshTimeout",
        "low",
        rules=[a_rule(1), a_rule(2, spiffe("", True), spiffe("Prefix")), a_rule(3, spiffe("Exact"))],
    )
    high = policies.a_policy("MeshTimeout", "high", rules=[a_rule(4), a_rule(5, spiffe("Exact", True))])
    old = policies.a_policy("MeshTimeout", "old", from_=[{"targetRef": MESH, "default": {"connectionTimeout": "6s"}}])
    found = policies.match([low, high, old], policies.a_subject(WEB)).inbound("10.0.0.1", 8001)
    shown = [(each.origin.name, each.origin.rule, each.match is None) for each in found.rules]
    assert shown == [
        ("high", 1, False),
        ("low", 2, False),
        ("low", 1, False),
        ("low", 1, False),
        ("old", 0, True),
        ("low", 0, True),
        ("high", 0, True),
    ]
    assert found.base is not None
    assert seconds(found.base) == 4
    assert found.base.conf.connection_timeout.seconds == 6
    assert [each.name for each in found.base.policies] == ["old", "low", "high"]
    assert len(found.matched) == 4
    assert {each.name for each in found.origins} == {"low", "high", "old"}


def test_rules_of_a_policy_take_the_place_of_its_from() -> None:
    entry = [{"targetRef": MESH, "default": {"connectionTimeout": "6s"}}]
    policy = policies.a_policy("MeshTimeout", "p", from_=entry, rules=[{"default": {"idleTimeout": "1s"}}])
    found = policies.match([policy], policies.a_subject(WEB)).inbound("10.0.0.1", 8001)
    assert [each.conf.connection_timeout for each in found.rules] == [None]
    assert [each.merged.conf.idle_timeout for each in found.clients] == [None]


def test_an_inbound_hears_only_the_policies_about_it() -> None:
    entry = [{"targetRef": MESH, "default": {"action": "Allow"}}]
    policy = policies.a_policy("MeshTrafficPermission", "p", {"kind": "Dataplane", "sectionName": "in-1"}, from_=entry)
    found = policies.match([policy], policies.a_subject(WEB, WEB))
    assert found.inbound("10.0.0.1", 8001) is rules.SILENT
    assert found.inbound("10.0.0.1", 8002).clients[0].merged.conf.action == "Allow"
    assert not found.inbound("10.0.0.1", 8002).is_empty
    missed = policies.match([policy], policies.a_subject(WEB))
    assert missed.inbound("10.0.0.1", 8001) is rules.NOTHING


def test_a_kind_about_whole_proxies_has_one_conf() -> None:
    low = policies.a_policy("MeshPassthrough", "b", default={"passthroughMode": "All"})
    high = policies.a_policy("MeshPassthrough", "a", default={"passthroughMode": "None"})
    found = policies.match([low, high], policies.a_subject(WEB))
    assert found.single is not None
    assert found.single.conf.passthrough_mode == "None"
    assert policies.match([low], policies.a_subject(WEB, name="x")).single is not None
    elsewhere = policies.a_policy("MeshPassthrough", "c", {"kind": "MeshService", "name": "x"}, default={})
    assert policies.match([elsewhere], policies.a_subject(WEB)).single is None


def test_listeners_of_a_gateway_have_rules_by_port_and_by_host_name() -> None:
    listeners = [{"port": 80, "protocol": "HTTP", "hostname": name, "tags": {"at": name}} for name in ("a.io", "b.io")]
    edge = policies.a_resource(
        "MeshGateway",
        "edge",
        selectors=[{"match": WEB}],
        conf={"listeners": [*listeners, {"port": 81, "protocol": "HTTP"}]},
    )
    made = [
        policies.a_timeout("all", 1),
        policies.a_timeout("one", 2, {"kind": "MeshGateway", "name": "edge", "tags": {"at": "a.io"}}),
    ]
    subject = policies.a_subject(gateway={"type": "BUILTIN", "tags": WEB})
    found = policies.match(made, subject, edge)
    by_hostname = {at: seconds(each.of(backend())) for at, each in found.gateway.by_hostname.items()}
    assert by_hostname == {("10.0.0.1", 80, "a.io"): 2, ("10.0.0.1", 80, "b.io"): 1, ("10.0.0.1", 81, "*"): 1}
    assert {at: seconds(each.of(backend())) for at, each in found.gateway.by_listener.items()} == {
        ("10.0.0.1", 80): 2,
        ("10.0.0.1", 81): 1,
    }
    assert set(found.gateway.inbounds) == set(found.gateway.by_listener)
    assert not found.inbounds


@pytest.mark.parametrize(
    ("kind", "target", "entry", "tags"),
    [
        ("MeshTrafficPermission", {"kind": "MeshService", "name": "es"}, {"kind": "MeshService", "name": "web"}, ["web"]),
        ("MeshTrafficPermission", {"kind": "MeshService", "name": "other"}, {"kind": "MeshService", "name": "web"}, []),
        ("MeshLoadBalancingStrategy", {"kind": "MeshService", "name": "web"}, {"kind": "MeshService", "name": "es"}, ["web"]),
        ("MeshLoadBalancingStrategy", {"kind": "MeshService", "name": "web"}, {"kind": "MeshService", "name": "x"}, []),
        ("MeshLoadBalancingStrategy", {"kind": "Dataplane"}, {"kind": "MeshService", "name": "es"}, []),
    ],
)  # fmt: skip
def test_an_egress_tells_the_clients_of_an_external_service_apart(
    kind: str, target: dict[str, Any], entry: dict[str, Any], tags: list[str]
) -> None:
    conf = {"action": "Allow"} if kind == "MeshTrafficPermission" else {"localityAwareness": {"disabled": True}}
    side = "from_" if kind == "MeshTrafficPermission" else "to"
    policy = policies.a_policy(kind, "p", target, **{side: [{"targetRef": entry, "default": conf}]})
    found = matching.match_external_service(policy.kind, [policy], {"kuma.io/service": "es"})
    assert [tag.value for each in found.clients for tag in each.subset] == tags
