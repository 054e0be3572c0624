"""What generators make of services, and who gets a name that several want."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from kuma.resources import resource as res
from kuma.services.destinations import hostnames
from tests.kit import destinations as kit

Found = list[tuple[str, str, str, str]]


def generator(name: str, template: str, wanted: dict[str, str] | None = None, **more: Any) -> res.Resource[Any]:
    selector = {more.pop("kind", "meshService"): {"matchLabels": wanted or {}}}
    document = {"spec": {"selector": selector, "template": template, **more.pop("spec", {})}, **more}
    return kit.resource("HostnameGenerator", name, document, mesh="")


def service(name: str, *, age: int = 0, kind: str = "MeshService", mesh: str = "m", **labels: str) -> res.Resource[Any]:
    """A stored service; a higher `age` is older, 0 one that is not stored yet."""
    found = kit.resource(kind, name, {"labels": labels, "spec": {"match": {"port": 80}} if "External" in kind else {}})
    created = kit.START - timedelta(days=age) if age else res.ZERO_TIME
    assert found.kind.status is not None
    meta = replace(found.meta, creation_time=created, mesh=mesh)
    return res.Resource(found.kind, meta, found.spec, found.kind.status())


def named(services: Sequence[res.Resource[Any]], *generators: res.Resource[Any]) -> list[Found]:
    """Per service and generator: name of the generator, hostname or nothing, reason, message."""
    register = hostnames.Register()
    ordered = hostnames.in_order(generators)
    for each in services:
        register.enter(each, hostnames.claims_of(each, ordered, "east"))
    return [findings(register, each) for each in services]


def findings(register: hostnames.Register, service: res.Resource[Any]) -> Found:
    status: Any = register.with_hostnames(service).status
    given = {each.hostname_generator_ref.core_name: each.hostname for each in status.addresses}
    out = []
    for each in status.hostname_generators:
        name, (condition,) = each.hostname_generator_ref.core_name, each.conditions
        assert (condition.type, condition.status) == ("Generated", "True" if name in given else "False")
        out.append((name, given.get(name, ""), condition.reason, condition.message))
    return out


def test_templates_are_filled_in() -> None:
    text = '{{ .DisplayName }}.{{ .Namespace }}.{{ .Zone }}.{{ .Mesh }}.{{ label "team" }}'
    own = service("web", team="a", **{"kuma.io/zone": "west", "k8s.kuma.io/namespace": "ns"})
    assert named([own], generator("g", text)) == [[("g", "web.ns.west.m.a", "Generated", "")]]
    plain = service("web", team="a")
    assert named([plain], generator("g", "{{ .Zone }}")) == [[("g", "east", "Generated", "")]]


def test_a_service_of_another_zone_has_two_names() -> None:
    synced = service("web-x7", **{"kuma.io/display-name": "web", "kuma.io/zone": ""})
    text = "{{ .Name }}.{{ .DisplayName }}.{{ .Zone }}"
    assert named([synced], generator("g", text)) == [[("g", "web-x7.web.east", "Generated", "")]]


def test_a_template_that_does_not_work_says_why() -> None:
    ((found,),) = named([service("web")], generator("g", '{{ label "team" }}'))
    assert found[:3] == ("g", "", "TemplateError")
    assert "label team not found" in found[3]


@pytest.mark.parametrize(
    "other",
    [
        generator("g", "x", {"team": "b"}),
        generator("g", "x", kind="meshExternalService"),
        generator("g", "x", spec={"extension": {"type": "dns"}}),
        generator("g", '{{ if eq .DisplayName "other" }}x{{ end }}'),
    ],
)
def test_generators_that_are_about_others_say_nothing(other: res.Resource[Any]) -> None:
    assert named([service("web", team="a")], other) == [[]]


def test_a_name_goes_to_the_oldest() -> None:
    young, old, unstored = service("a", age=1), service("b", age=2), service("0")
    lost = [("g", "", "Collision", "Hostname collision with MeshService: b")]
    assert named([unstored, young, old], generator("g", "x")) == [lost, lost, [("g", "x", "Generated", "")]]


def test_generators_of_the_zone_come_first() -> None:
    """The second service wins by the better generator, though the first is older."""
    zone = generator("z", "x", {"team": "a"}, labels={"kuma.io/origin": "zone"})
    other = generator("a", "x", {"team": "b"})
    found = named([service("one", age=2, team="b"), service("two", age=1, team="a")], other, zone)
    assert found == [
        [("a", "", "Collision", "Hostname collision with MeshService: two")],
        [("z", "x", "Generated", "")],
    ]


def test_two_generators_may_give_a_service_the_same_name() -> None:
    found = named([service("web")], generator("a", "x"), generator("b", "x"))
    assert found == [[("a", "x", "Generated", ""), ("b", "x", "Generated", "")]]


def test_kinds_and_meshes_do_not_collide() -> None:
    external = service("web", kind="MeshExternalService")
    own = [generator("a", "x"), generator("b", "x", kind="meshExternalService")]
    found = named([service("web"), service("web", mesh="n"), external], *own)
    assert [[each[2] for each in one] for one in found] == [["Generated"]] * 3


def test_who_is_affected_is_told() -> None:
    register, own = hostnames.Register(), (generator("g", '{{ label "host" }}'),)
    one, two = service("one", age=2, host="x"), service("two", age=1, host="x")
    assert register.enter(one, hostnames.claims_of(one, own, "east")) == set()
    assert register.enter(two, hostnames.claims_of(two, own, "east")) == {one.key}
    assert register.enter(two, hostnames.claims_of(two, own, "east")) == set()
    assert findings(register, two)[0][2] == "Collision"
    moved = service("one", age=2, host="y")
    assert register.enter(moved, hostnames.claims_of(moved, own, "east")) == {two.key}
    assert findings(register, two)[0][2] == "Generated"
    assert register.leave(two.key) == set()


def test_hostnames_of_others_stay() -> None:
    kubernetes = {"hostname": "web.svc.cluster.local", "origin": "Kubernetes"}
    own = kit.resource("MeshService", "web", {"spec": {}, "status": {"addresses": [kubernetes]}})
    register = hostnames.Register()
    register.enter(own, hostnames.claims_of(own, (generator("g", "x"),), "east"))
    assert kit.hostnames(register.with_hostnames(own)) == ["web.svc.cluster.local", "x"]
