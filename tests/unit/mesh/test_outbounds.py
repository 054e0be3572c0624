"""Which outbounds a proxy has: what its Dataplane lists, or the virtual addresses within its reach."""

from collections.abc import Mapping
from typing import Any

import pytest

from kuma.mesh import view, vips
from kuma.resources import dns_vips
from kuma.resources import resource as res
from tests.kit import targets, worlds

Api = {"vips": [{"ip": "241.0.0.1"}], "addresses": [{"hostname": "api.svc.mesh.local"}]}
SERVICES = (
    targets.a_service("api", {"port": 80}, {"port": 81, "name": "admin"}, status=Api),
    targets.a_service("db", labels={**targets.HERE, "team": "data"}, status={"vips": [{"ip": "241.0.0.2"}]}),
    targets.a_service("new"),
    targets.an_external(status={"vip": {"ip": "242.0.0.1"}}),
)


def a_config(mesh: str = "m", text: str | None = None, **addresses: str) -> res.Resource[Any]:
    """Addresses of services, as the control plane that leads stores them."""
    table = {
        dns_vips.Host(dns_vips.HostType.SERVICE, name): dns_vips.VirtualOutbound(
            address, (dns_vips.Outbound(0, (("kuma.io/service", name),), "service"),)
        )
        for name, address in addresses.items()
    }
    config = dns_vips.encode(table) if text is None else text
    return worlds.resource({"type": "Config", "name": dns_vips.config_name(mesh), "config": config})


LEGACY = a_config(api="240.0.0.0", web="240.0.0.1")


def a_proxy(
    *outbounds: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    inbound: Mapping[str, Any] | None = None,
    **limits: Any,
) -> res.Resource[Any]:
    networking: dict[str, Any] = {"address": "192.168.0.1", "outbound": list(outbounds)}
    networking["transparentProxying"] = {"redirectPortOutbound": 15001, **limits}
    networking["inbound"] = [dict(inbound)] if inbound else []
    own = {"type": "Dataplane", "name": "p", "labels": dict(targets.HERE if labels is None else labels)}
    return worlds.resource({**own, "networking": networking})


def places(found: tuple[vips.Listed, ...]) -> list[str]:
    return [f"{each.address}:{each.port} {each.destination or each.service}" for each in found]


def reached(proxy: res.Resource[Any], mode: str = "Everywhere", *more: res.Resource[Any]) -> list[str]:
    picture = targets.picture(LEGACY, *SERVICES, *more, meshServices={"mode": mode})
    return places(picture.outbounds_of(proxy, transparent=True))


API, WEB = "240.0.0.0:80 api", "240.0.0.1:80 web"
NEW_API = ["241.0.0.1:80 kri_msvc_m_here__api_80", "241.0.0.1:81 kri_msvc_m_here__api_admin"]
DB, EXT = "241.0.0.2:80 kri_msvc_m_here__db_80", "242.0.0.1:443 kri_extsvc_m_here__ext_443"


def backends(*refs: Mapping[str, Any]) -> dict[str, Any]:
    return {"reachableBackends": {"refs": [{"kind": "MeshService", **each} for each in refs]}}


@pytest.mark.parametrize(
    ("limits", "mode", "found"),
    [
        ({}, "Disabled", [API, WEB, *NEW_API, DB, EXT]),
        ({}, "Everywhere", [API, WEB, *NEW_API, DB, EXT]),
        ({}, "Exclusive", [*NEW_API, DB, EXT]),
        ({}, "ReachableBackends", [API, WEB]),
        ({"reachableServices": ["web"]}, "Everywhere", [WEB]),
        ({"reachableServices": ["web"]}, "Exclusive", []),
        (backends(), "Everywhere", [API, WEB]),
        (backends(), "Exclusive", []),
        (backends({"name": "api"}), "ReachableBackends", [API, WEB, *NEW_API]),
        (backends({"name": "api", "port": 81}), "Exclusive", NEW_API[1:]),
        (backends({"name": "api", "port": 82}), "Exclusive", []),
        (backends({"name": "api", "namespace": "ns"}), "Exclusive", []),
        (backends({"labels": {"team": "data"}}), "Exclusive", [DB]),
        (
            backends({"labels": {"team": "data"}}, {"kind": "MeshExternalService", "name": "ext"}),
            "Exclusive",
            [DB, EXT],
        ),
        ({**backends({"name": "db"}), "reachableServices": ["web"]}, "Everywhere", [WEB, DB]),
    ],
)
def test_what_is_within_reach(limits: Mapping[str, Any], mode: str, found: list[str]) -> None:
    assert reached(a_proxy(**limits), mode) == found


def test_a_name_means_the_zone_of_the_proxy() -> None:
    assert reached(a_proxy(labels={"kuma.io/zone": "away"}, **backends({"name": "api"})), "Exclusive") == []


def test_listed_backends_are_the_reach_of_a_proxy_whose_traffic_is_redirected() -> None:
    listed = {"port": 10001, "backendRef": {"kind": "MeshService", "name": "db", "port": 80}}
    unknown = {"port": 10001, "backendRef": {"kind": "MeshService", "name": "none", "port": 80}}
    assert reached(a_proxy(listed), "Exclusive") == [DB]
    assert reached(a_proxy(unknown), "Exclusive") == [*NEW_API, DB, EXT]


def test_a_proxy_does_not_answer_for_what_it_listens_on_itself() -> None:
    inbound = {"port": 80, "address": "241.0.0.2", "tags": {"kuma.io/service": "db"}}
    assert reached(a_proxy(inbound=inbound), "Exclusive") == [*NEW_API, EXT]


def test_proxies_with_the_same_reach_share_one_object() -> None:
    picture = targets.picture(LEGACY, *SERVICES)
    one, two = a_proxy(**backends({"name": "api"})), a_proxy(**backends({"name": "api"}), inbound={"port": 1})
    found = [picture.outbounds_of(each, transparent=True) for each in (one, two)]
    assert found[0] is found[1]
    assert found[0] is not picture.outbounds_of(a_proxy(), transparent=True)


def test_names_under_which_addresses_are_found() -> None:
    picture = targets.picture(a_config(my_api="240.0.0.0"), *SERVICES)
    names = {each.address: each.hostnames for each in picture.outbounds_of(a_proxy(), transparent=True)}
    assert names["240.0.0.0"] == ("my_api.mesh", "my.api.mesh")
    assert names["241.0.0.1"] == ("api.svc.mesh.local",)
    assert names["241.0.0.2"] == ()


def test_a_hostname_stands_for_the_first_address() -> None:
    status = {"vips": [{"ip": "241.0.0.1"}, {"ip": "fd00::1"}], "addresses": [{"hostname": "api.local"}]}
    found = targets.picture(targets.a_service("api", status=status)).outbounds_of(a_proxy(), transparent=True)
    assert [(each.address, each.hostnames) for each in found] == [("241.0.0.1", ("api.local",)), ("fd00::1", ())]


@pytest.mark.parametrize(
    ("host", "outbounds", "found"),
    [
        ((0, "s"), [(0, "s")], ["80 s"]),
        ((0, "s"), [(80, "s")], ["80 s"]),
        ((0, "s"), [(443, "s")], ["443 s", "80 s"]),
        ((0, "s"), [(443, "s"), (444, "s")], ["443 s", "80 s"]),
        ((1, "a.com"), [(443, "s")], ["443 s", "80 s"]),
        ((1, "a.com"), [(443, "s"), (80, "t")], ["443 s", "80 t"]),
        ((1, "10.0.0.1"), [(443, "s")], ["443 s"]),
        ((2, "a.com"), [(443, "s"), (0, "t")], ["443 s"]),
    ],
)
def test_the_ports_of_a_stored_address(
    host: tuple[int, str], outbounds: list[tuple[int, str]], found: list[str]
) -> None:
    entry = tuple(dns_vips.Outbound(port, (("kuma.io/service", service),), "") for port, service in outbounds)
    table = {dns_vips.Host(dns_vips.HostType(host[0]), host[1]): dns_vips.VirtualOutbound("240.0.0.0", entry)}
    assert [f"{each.port} {each.service}" for each in vips.of_services(table, vips.Naming())] == found


def test_a_host_without_an_address_is_no_outbound() -> None:
    entry = dns_vips.VirtualOutbound("", (dns_vips.Outbound(0, (("kuma.io/service", "s"),), ""),))
    assert vips.of_services({dns_vips.Host(dns_vips.HostType.SERVICE, "s"): entry}, vips.Naming()) == ()


def test_what_a_dataplane_lists() -> None:
    by_label = {"kind": "MeshService", "labels": {"team": "data"}, "port": 80}
    proxy = a_proxy(
        {"port": 10001, "tags": {"kuma.io/service": "web", "version": "v1"}},
        {"address": "127.0.0.2", "port": 10001, "backendRef": {"kind": "MeshService", "name": "api", "port": 81}},
        {"port": 10001, "tags": {"kuma.io/service": "second"}},
        {"port": 10002, "backendRef": by_label},
        {"port": 10003, "backendRef": {"kind": "MeshService", "name": "none", "port": 80}},
        {"port": 10004, "backendRef": {"kind": "MeshExternalService", "name": "ext"}},
    )
    found = targets.picture(LEGACY, *SERVICES).outbounds_of(proxy, transparent=False)
    assert places(found) == [
        "127.0.0.1:10001 web",
        "127.0.0.2:10001 kri_msvc_m_here__api_admin",
        "127.0.0.1:10002 kri_msvc_m_here__db_80",
        "127.0.0.1:10004 kri_extsvc_m_here__ext_443",
    ]
    assert found[0].tags == (("version", "v1"),)


def test_addresses_that_are_known_before_their_mesh_count() -> None:
    world = worlds.world([LEGACY, worlds.a_mesh()])
    assert places(world.meshes["m"].outbounds_of(a_proxy(), transparent=True)) == [API, WEB]


def test_a_text_that_is_no_table_is_refused_and_the_last_one_stays() -> None:
    world = worlds.world([worlds.a_mesh(), LEGACY])
    after, touched = world.advance([view.Edit(a_config(text="nonsense"))])
    assert len(touched.refused) == 1
    assert places(after.meshes["m"].outbounds_of(a_proxy(), transparent=True)) == [API, WEB]


def test_proxies_that_list_the_same_share_one_object() -> None:
    def a_listing(name: str, *ports: int) -> res.Resource[Any]:
        listed = [{"port": port, "tags": {"kuma.io/service": "web", "version": "1"}} for port in ports]
        listed.append({"port": 1, "backendRef": {"kind": "MeshService", "name": "api", "port": 80}})
        networking = {"address": "192.168.0.1", "outbound": listed}
        return worlds.resource({"type": "Dataplane", "name": name, "labels": targets.HERE, "networking": networking})

    picture = targets.picture(*SERVICES)
    one, same, other = (
        picture.outbounds_of(each, transparent=False)
        for each in (a_listing("a", 7, 8), a_listing("b", 7, 8), a_listing("c", 7, 9))
    )
    assert one is same
    assert len(one) == 3
    assert places(other) == ["127.0.0.1:7 web", "127.0.0.1:9 web", "127.0.0.1:1 kri_msvc_m_here__api_80"]
    assert other[0] is one[0]
