"""The picture of a mesh: what each change touches, and what it leaves alone."""

import dataclasses
from typing import Any

import pytest

from kuma.mesh import endpoints, view
from kuma.resources import resource as res
from kuma.resources.kinds import serviceinsight
from tests.kit import targets, worlds


def base() -> view.WorldView:
    return worlds.world(
        [
            worlds.a_mesh(),
            worlds.a_dataplane("web-1", "web", outbounds={"api": 10001}),
            worlds.a_dataplane("api-1", "api", address="192.168.0.2"),
        ]
    )


@pytest.mark.parametrize(
    ("edit", "meshes", "proxies", "services"),
    [
        (view.Edit(worlds.a_dataplane("api-2", "api", address="192.168.0.3")), set(), {"api-2"}, {"api"}),
        (view.Edit(worlds.a_dataplane("api-1", "api", address="192.168.0.9")), set(), {"api-1"}, {"api"}),
        (view.Edit(worlds.a_dataplane("api-1", "api", address="192.168.0.2")), set(), set(), set()),
        (view.Edit(worlds.a_dataplane("api-1", "new", address="192.168.0.2")), set(), {"api-1"}, {"api", "new"}),
        (view.Edit(worlds.a_dataplane("api-1", "api", address="192.168.0.2"), True), set(), {"api-1"}, {"api"}),
        (
            view.Edit(worlds.a_dataplane("web-1", "web", outbounds={"api": 10002})),
            set(),
            {"web-1"},
            set(),
        ),
        (view.Edit(worlds.a_permission("p", ({}, "Allow"))), set(), set(), set()),
        (view.Edit(worlds.a_mesh(mtls=worlds.BUILTIN)), {"m"}, set(), set()),
        (view.Edit(worlds.a_mesh()), set(), set(), set()),
        (view.Edit(worlds.a_mesh("other")), {"other"}, set(), set()),
    ],
)
def test_a_change_touches_what_it_must(
    edit: view.Edit, meshes: set[str], proxies: set[str], services: set[str]
) -> None:
    _, touched = base().advance([edit])
    assert touched.meshes == meshes
    assert touched.proxies == {res.Key("Dataplane", "m", name) for name in proxies}
    assert touched.services == {("m", service) for service in services}


def test_what_did_not_change_is_the_same_object() -> None:
    before = base()
    after, _ = before.advance([view.Edit(worlds.a_permission("p", ({}, "Allow")))])
    assert after.meshes["m"].endpoints is before.meshes["m"].endpoints
    assert after.meshes["m"].dataplanes is before.meshes["m"].dataplanes


def test_a_service_is_built_once_however_many_proxies_join_it(monkeypatch: pytest.MonkeyPatch) -> None:
    built, build = [], endpoints._service
    monkeypatch.setattr(endpoints, "_service", lambda name, *given: (built.append(name), build(name, *given))[1])
    joining = [view.Edit(worlds.a_dataplane(f"api-{at}", "api", address=f"192.168.1.{at}")) for at in range(2, 50)]
    after, touched = base().advance(joining)
    assert len(after.meshes["m"].endpoints.of("api").endpoints) == 49
    assert len(touched.proxies) == 48
    assert built.count("api") == 2  # once for `base`


def test_the_last_change_of_a_proxy_counts() -> None:
    one, two = worlds.a_dataplane("api-2", "api", address="192.168.0.3"), worlds.a_dataplane("api-2", "new")
    after, touched = base().advance([view.Edit(one), view.Edit(one, deleted=True), view.Edit(two)])
    assert touched.services == {("m", "new")}
    assert after.meshes["m"].dataplanes["api-2"] is two
    same, nothing = base().advance([view.Edit(one), view.Edit(one, deleted=True)])
    assert not nothing
    assert "api-2" not in same.meshes["m"].dataplanes


def test_proxies_of_a_mesh_made_anew_are_those_that_came_after() -> None:
    mesh, old, new = worlds.a_mesh(), worlds.a_dataplane("old", "api"), worlds.a_dataplane("new", "api")
    edits = [view.Edit(old), view.Edit(mesh, deleted=True), view.Edit(mesh), view.Edit(new)]
    after, _ = base().advance(edits)
    assert list(after.meshes["m"].dataplanes) == ["new"]
    assert len(after.meshes["m"].endpoints.of("api").endpoints) == 1


def test_nothing_of_a_deleted_mesh_remains() -> None:
    after, touched = base().advance([view.Edit(worlds.a_mesh(), deleted=True)])
    assert not after.meshes
    assert touched.meshes == {"m"}


PERMISSIVE = {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin", "mode": "PERMISSIVE"}]}


def insight(online: int, total: int, issued: int) -> view.Edit:
    """What is known of the proxies of service `api`."""
    counts = serviceinsight.DataplaneStat(total=total, online=online, offline=total - online)
    service = serviceinsight.Service(dataplanes=counts, issued_backends={"ca-1": issued} if issued else {})
    spec = serviceinsight.ServiceInsight(services={"api": service})
    return view.Edit(res.Resource(serviceinsight.KIND, res.Meta("m", "all-services-m"), spec))


NOBODY = view.Edit(res.Resource(serviceinsight.KIND, res.Meta("m", "all-services-m"), serviceinsight.ServiceInsight()))


@pytest.mark.parametrize(
    ("insights", "ready"),
    [
        ([], False),
        ([insight(2, 2, 1)], False),
        ([insight(2, 2, 2)], True),
        ([insight(1, 2, 1)], True),
        ([insight(2, 2, 2), insight(0, 2, 0)], True),
        ([insight(2, 2, 2), insight(2, 2, 0)], True),  # both went away and are back
        ([insight(2, 2, 2), insight(3, 3, 2)], True),  # one more joins
        ([insight(1, 1, 1), NOBODY, insight(1, 1, 0)], True),  # the only one was deleted and registers itself again
        ([insight(0, 2, 2)], True),
        ([insight(0, 2, 1)], True),  # a restart of ours, long after one of them left
        ([insight(0, 2, 0)], False),
        ([insight(0, 0, 0)], False),
    ],
)
def test_who_is_ready_for_mutual_tls_where_plaintext_is_allowed(insights: list[view.Edit], ready: bool) -> None:
    after, _ = base().advance([view.Edit(worlds.a_mesh(mtls=PERMISSIVE)), *insights])
    assert after.meshes["m"].speaks_tls("api") is ready


@pytest.mark.parametrize(
    ("meanwhile", "ready"),
    [
        ([insight(1, 1, 0)], False),
        ([], True),  # so quickly that nobody heard of it: no insight would come to say that all is as before
    ],
)
def test_mutual_tls_that_was_off_begins_anew(meanwhile: list[view.Edit], ready: bool) -> None:
    on, off = view.Edit(worlds.a_mesh(mtls=PERMISSIVE)), view.Edit(worlds.a_mesh())
    after, _ = base().advance([on, insight(1, 1, 1), off])
    assert not after.meshes["m"].tls_ready
    after, _ = after.advance([*meanwhile, on])
    assert after.meshes["m"].speaks_tls("api") is ready


@pytest.mark.parametrize(
    ("protocols", "common"),
    [
        ([], "unknown"),
        (["http"], "http"),
        (["grpc"], "grpc"),
        (["grpc", "http2"], "http2"),
        (["http", "http2"], "tcp"),
        (["http", "tcp"], "tcp"),
        (["kafka", "kafka"], "kafka"),
        (["kafka", "http"], "tcp"),
    ],
)
def test_a_service_speaks_what_all_its_proxies_can(protocols: list[str], common: str) -> None:
    proxies = [
        worlds.a_dataplane(f"p-{at}", "s", address=f"192.168.1.{at + 1}", protocol=protocol)
        for at, protocol in enumerate(protocols)
    ]
    picture = worlds.world([worlds.a_mesh(), *proxies]).meshes["m"]
    assert picture.endpoints.of("s").protocol == common


@pytest.mark.parametrize(
    ("inbound", "endpoints"),
    [
        ({}, 1),
        ({"state": "NotReady"}, 0),
        ({"state": "Ignored"}, 0),
        ({"health": {"ready": False}}, 0),
        ({"health": {"ready": True}}, 1),
    ],
)
def test_only_healthy_inbounds_are_endpoints(inbound: dict[str, object], endpoints: int) -> None:
    picture = worlds.world([worlds.a_mesh(), worlds.a_dataplane("p", "s", **inbound)]).meshes["m"]
    assert len(picture.endpoints.of("s").endpoints) == endpoints


def test_the_protocol_survives_the_last_healthy_endpoint() -> None:
    picture = worlds.world([worlds.a_mesh(), worlds.a_dataplane("p", "s", state="NotReady")]).meshes["m"]
    assert picture.endpoints.of("s").protocol == "http"


def test_peers_dial_the_advertised_address() -> None:
    proxy = worlds.resource(
        {
            "type": "Dataplane",
            "name": "p",
            "networking": {
                "address": "192.168.0.1",
                "advertisedAddress": "203.0.113.1",
                "inbound": [{"port": 8080, "tags": {"kuma.io/service": "s"}}],
            },
        }
    )
    picture = worlds.world([worlds.a_mesh(), proxy]).meshes["m"]
    assert [each.address for each in picture.endpoints.of("s").endpoints] == ["203.0.113.1"]


def a_gateway(mesh: str, *, cross: bool, port: int = 80) -> res.Resource[Any]:
    listener = {"port": port, "protocol": "HTTP", "crossMesh": cross}
    own = {"type": "MeshGateway", "mesh": mesh, "name": "edge", "selectors": [{"match": {"kuma.io/service": "edge"}}]}
    return worlds.resource({**own, "conf": {"listeners": [listener]}})


def a_gateway_proxy(**tags: str) -> res.Resource[Any]:
    gateway = {"type": "BUILTIN", "tags": {"kuma.io/service": "edge", **tags}}
    networking = {"address": "10.0.0.1", "gateway": gateway}
    return worlds.resource({"type": "Dataplane", "mesh": "other", "name": "edge", "networking": networking})


@pytest.mark.parametrize(
    ("cross", "edit", "meshes"),
    [
        (False, a_gateway("other", cross=False, port=81), {"other"}),
        (True, a_gateway("other", cross=True, port=81), {"m", "other"}),
        (False, a_gateway("other", cross=True), {"m", "other"}),
        (True, a_gateway("other", cross=False), {"m", "other"}),
        (False, a_gateway_proxy(version="v1"), set()),
        (True, a_gateway_proxy(version="v1"), {"m", "other"}),
        (True, worlds.a_dataplane("web-2", "edge"), set()),
    ],
)
def test_a_gateway_that_is_open_to_all_meshes_touches_all_of_them(
    cross: bool, edit: res.Resource[Any], meshes: set[str]
) -> None:
    known = [worlds.a_mesh(), worlds.a_mesh("other"), a_gateway("other", cross=cross), a_gateway_proxy()]
    _, touched = worlds.world(known).advance([view.Edit(edit)])
    assert touched.meshes == meshes


@pytest.mark.parametrize(
    ("document", "meshes"),
    [
        ({"type": "MeshIdentity", "spec": {"provider": {"type": "Spire", "spire": {}}}}, {"m"}),
        (
            {"type": "MeshTrust", "spec": {"trustDomain": "d", "caBundles": [{"type": "Pem", "pem": {"value": "x"}}]}},
            {"m"},
        ),
        (
            {
                "type": "Workload",
                "spec": {},
                "status": {"dataplaneProxies": {"connected": 1, "healthy": 1, "total": 1}},
            },
            set(),
        ),
        ({"type": "Config", "config": "text"}, set()),
        ({"type": "MeshIdentity", "mesh": "unknown", "spec": {"provider": {"type": "Spire", "spire": {}}}}, set()),
    ],
)
def test_other_kinds_touch_what_they_shape(document: dict[str, Any], meshes: set[str]) -> None:
    _, touched = base().advance([view.Edit(worlds.resource({"name": "n", **document}))])
    assert touched.meshes == meshes
    assert bool(touched) is bool(meshes)


def test_a_policy_is_told_as_it_was_and_as_it_is() -> None:
    one, two = worlds.a_permission("p", ({}, "Allow")), worlds.a_permission("p", ({}, "Deny"))
    world, touched = base().advance([view.Edit(one)])
    assert touched.policies == (("m", None, one),)
    again, nothing = world.advance([view.Edit(one)])
    assert not nothing
    kind = "MeshTrafficPermission"
    assert again.meshes["m"].policies[kind] is world.meshes["m"].policies[kind]
    world, touched = world.advance([view.Edit(two)])
    assert touched.policies == (("m", one, two),)
    world, touched = world.advance([view.Edit(two, deleted=True)])
    assert touched.policies == (("m", two, None),)
    assert world.meshes["m"].of_kind(kind) == ()


def test_a_mesh_that_was_written_again_is_looked_at_again() -> None:
    written = worlds.a_mesh()
    again = dataclasses.replace(written, meta=dataclasses.replace(written.meta, version=7))
    _, touched = base().advance([view.Edit(again)])
    assert touched.meshes == {"m"}


def test_everything_that_is_held_can_be_taken_out_again() -> None:
    kinds = [
        worlds.a_permission("p", ({}, "Allow")),
        targets.a_service("api"),
        targets.a_service("again", labels={**targets.HERE, "kuma.io/display-name": "api"}),
        a_gateway("m", cross=False),
        worlds.resource({"type": "ZoneEgress", "name": "e", "networking": {"address": "10.0.0.9", "port": 1}}),
        worlds.resource({"type": "ZoneIngress", "name": "i", "networking": {"address": "10.0.0.8", "port": 1}}),
        worlds.resource({"type": "Config", "name": "kuma-m-dns-vips", "config": ""}),
    ]
    world, _ = base().advance([view.Edit(each) for each in kinds])
    keys = {each.key for each in world.held()}
    assert keys == {each.key for each in (*kinds, *base().held())}
    empty, _ = world.advance([view.Edit(each, deleted=True) for each in world.held()])
    assert not list(empty.held())


def test_a_proxy_that_an_index_cannot_take_in_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base()
    real = endpoints.EndpointIndex.advance

    def fragile(index: endpoints.EndpointIndex, changes: Any, *rest: Any) -> Any:
        if "odd" in changes:
            raise ValueError("cannot be understood")
        return real(index, changes, *rest)

    monkeypatch.setattr(endpoints.EndpointIndex, "advance", fragile)
    joining = [
        worlds.a_dataplane("odd", "api", address="192.168.0.8"),
        worlds.a_dataplane("api-2", "api", address="192.168.0.3"),
    ]
    after, touched = before.advance(view.Edit(each) for each in joining)
    assert [(each.resource.meta.name, reason) for each, reason in touched.refused] == [
        ("odd", "ValueError: cannot be understood")
    ]
    assert [each.address for each in after.meshes["m"].endpoints.of("api").endpoints] == ["192.168.0.2", "192.168.0.3"]
    assert "odd" not in after.meshes["m"].dataplanes
