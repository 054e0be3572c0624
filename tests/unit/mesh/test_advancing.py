"""Pictures that are advanced edit by edit: equal to one made at once, and no difference goes unmentioned."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as some

from kuma.mesh import view
from kuma.resources import dns_vips
from kuma.resources import resource as res
from tests.kit import targets, worlds

SERVICES = ("a", "b")
ZONES = ("here", "away")
REACH = worlds.resource(
    {
        "type": "Dataplane",
        "name": "reach",
        "labels": targets.HERE,
        "networking": {"address": "10.1.1.1", "transparentProxying": {"redirectPortOutbound": 15001}},
    }
)


def _proxy(name: str, services: list[str], label: str, state: str, address: int) -> res.Resource[Any]:
    inbounds = [
        targets.an_inbound(each, 80 + at, {"kuma.io/zone": "here"}, state=state) for at, each in enumerate(services)
    ]
    return targets.a_proxy(name, *inbounds, address=f"10.0.0.{address}", app=label)


def _egress_proxy(name: str, state: str) -> res.Resource[Any]:
    networking = {"address": "10.1.0.1", "listeners": [{"type": "ZoneEgress", "port": 11002, "state": state}]}
    return worlds.resource({"type": "Dataplane", "name": name, "networking": networking})


def _service(name: str, selector: str, zone: str, port: int, ready: str, state: str) -> res.Resource[Any]:
    labels = targets.HERE if zone == "here" else {**targets.AWAY, "kuma.io/display-name": name}
    chosen: dict[str, Any] = {
        "tags": {"dataplaneTags": {"kuma.io/service": name}},
        "labels": {"dataplaneLabels": {"matchLabels": {"app": name}}},
        "name": {"dataplaneRef": {"name": "p1"}},
    }[selector]
    status = {"tls": {"status": ready}, "vips": [{"ip": f"241.0.0.{port}"}]}
    identities = [{"type": "ServiceTag", "value": f"{name}-{ready}"}]
    return targets.a_service(
        f"{name}-{zone}",
        {"port": port},
        labels=labels,
        status=status,
        selector=chosen,
        state=state,
        identities=identities,
    )


def _ingress(name: str, zone: str, instances: int) -> res.Resource[Any]:
    networking = {"address": "1.1.1.1", "port": 1, "advertisedAddress": f"1.1.1.{instances}", "advertisedPort": 1}
    services = [{"mesh": "m", "instances": instances, "tags": {"kuma.io/service": "a", "kuma.io/zone": zone}}]
    own = {"type": "ZoneIngress", "name": name, "zone": zone, "networking": networking}
    return worlds.resource({**own, "availableServices": services if instances else []})


def _mesh(mtls: bool, egress: bool, mode: str) -> res.Resource[Any]:
    fields: dict[str, Any] = {"mtls": worlds.BUILTIN} if mtls else {}
    return worlds.a_mesh(**fields, routing={"zoneEgress": egress}, meshServices={"mode": mode})


def _config(address: int) -> res.Resource[Any]:
    text = f'{{"0:a": {{"address": "240.0.0.{address}", "outbounds": [{{"TagSet": {{"kuma.io/service": "a"}}}}]}}}}'
    return worlds.resource({"type": "Config", "name": dns_vips.config_name("m"), "config": text})


def _egress(address: int) -> res.Resource[Any]:
    networking = {"address": f"10.9.0.{address}", "port": 10002}
    return worlds.resource({"type": "ZoneEgress", "name": "e", "networking": networking})


def _external_service(port: int) -> res.Resource[Any]:
    networking = {"address": f"example.com:{port}"}
    tags = {"kuma.io/service": "x"}
    return worlds.resource({"type": "ExternalService", "name": "x", "tags": tags, "networking": networking})


NAMES = some.sampled_from(SERVICES)
RESOURCES = some.one_of(
    some.builds(
        _proxy,
        some.sampled_from(("p1", "p2", "p3")),
        some.lists(NAMES, max_size=2, unique=True),
        NAMES,
        some.sampled_from(("Ready", "NotReady", "Ignored")),
        some.integers(1, 3),
    ),
    some.builds(
        _service,
        NAMES,
        some.sampled_from(("tags", "labels", "name")),
        some.sampled_from(ZONES),
        some.sampled_from((80, 81)),
        some.sampled_from(("Ready", "NotReady")),
        some.sampled_from(("Available", "Unavailable")),
    ),
    some.builds(
        lambda names: targets.a_gathering(*names), some.lists(some.tuples(some.sampled_from(ZONES), NAMES), unique=True)
    ),
    some.builds(_ingress, some.sampled_from(("i", "j")), some.sampled_from(ZONES), some.integers(0, 2)),
    some.builds(_mesh, some.booleans(), some.booleans(), some.sampled_from(("Everywhere", "Exclusive"))),
    some.builds(_config, some.integers(1, 2)),
    some.builds(_egress, some.integers(1, 2)),
    some.builds(_external_service, some.integers(1, 2)),
    some.builds(_egress_proxy, some.sampled_from(("p2", "p3")), some.sampled_from(("Ready", "NotReady"))),
    some.just(targets.an_external(status={"vip": {"ip": "242.0.0.1"}})),
)
EDITS = some.lists(
    some.builds(
        lambda resource, gone: view.Edit(resource, gone == 0 and resource.kind.name != "Mesh"),
        RESOURCES,
        some.integers(0, 3),
    ),
    max_size=12,
)
BEGUN = [
    view.Edit(each)
    for each in (
        _mesh(True, False, "Everywhere"),
        _proxy("p1", ["a"], "a", "Ready", 1),
        _proxy("p2", ["a", "b"], "b", "Ready", 2),
        _service("a", "tags", "here", 80, "Ready", "Available"),
        _service("b", "labels", "here", 81, "NotReady", "Available"),
        _service("a", "tags", "away", 80, "Ready", "Available"),
        targets.a_gathering(("here", "a"), ("away", "a")),
        _ingress("i", "away", 1),
        _config(1),
        targets.an_external(status={"vip": {"ip": "242.0.0.1"}}),
    )
]


def seen(world: view.WorldView) -> dict[Any, Any]:
    """Everything that proxies of mesh `m` are configured from, by what a change of it has to touch."""
    picture = world.meshes["m"]
    found: dict[Any, Any] = {("service", name): each for name, each in picture.endpoints.services.items()}
    found["outbounds"] = picture.outbounds_of(REACH, transparent=True)
    found["dataplanes"] = dict(sorted(picture.dataplanes.items()))
    for each in picture.destinations.all():
        found["destination", each.kri] = (each, picture.endpoints_of(each.kri))
        assert picture.endpoints_of(each.kri).name == each.name
    return found


def advanced(edits: list[view.Edit], *, at_once: bool) -> view.WorldView:
    begun, _ = worlds.world([]).advance(BEGUN)
    for several in [edits] if at_once else [[each] for each in edits]:
        begun, touched = begun.advance(several)
        assert not touched.refused
    return begun


@settings(deadline=None)
@given(EDITS)
def test_one_by_one_is_as_all_at_once(edits: list[view.Edit]) -> None:
    last = {each.resource.key: each for each in (*BEGUN, *edits)}
    left = sorted(last.values(), key=lambda each: each.resource.kind.name != "Mesh")
    made_of_the_rest, _ = worlds.world([]).advance([each for each in left if not each.deleted])
    one_by_one = seen(advanced(edits, at_once=False))
    assert one_by_one == seen(advanced(edits, at_once=True))
    assert one_by_one == seen(made_of_the_rest)


@settings(deadline=None)
@given(EDITS, EDITS)
def test_whatever_differs_is_said_to_be_touched(before: list[view.Edit], edits: list[view.Edit]) -> None:
    begun = advanced(before, at_once=True)
    old = seen(begun)
    after, touched = begun.advance(edits)
    new = seen(after)
    if "m" in touched.meshes:
        return
    for what in old.keys() | new.keys():
        if old.get(what) == new.get(what):
            continue
        if isinstance(what, tuple) and what[0] == "service":
            assert ("m", what[1]) in touched.services
        elif isinstance(what, tuple):
            assert ("m", what[1]) in touched.destinations
        else:
            assert what == "dataplanes"
            differing = {
                name for name in old[what].keys() | new[what].keys() if old[what].get(name) != new[what].get(name)
            }
            assert {res.Key("Dataplane", "m", name) for name in differing} <= touched.proxies
