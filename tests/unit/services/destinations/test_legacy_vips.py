"""The names that tags, ExternalServices, VirtualOutbounds and gateways give."""

from typing import Any

from kuma.resources import dns_vips
from kuma.services.destinations import legacy_vips
from tests.kit import destinations as kit

SERVICE, HOST, FQDN = dns_vips.HostType
WEB = {"kuma.io/service": "web", "version": "v1"}
API = {"kuma.io/service": "api"}
BY_VERSION = {
    "selectors": [{"match": {"kuma.io/service": "*"}}],
    "conf": {
        "host": "{{.version}}.{{.service}}.mesh",
        "port": "{{.port}}",
        "parameters": [
            {"name": "service", "tagKey": "kuma.io/service"},
            {"name": "version"},
            {"name": "port", "tagKey": "port"},
        ],
    },
}


def external(name: str = "bank-1", address: str = "bank.example.com:443", service: str = "bank", **more: Any) -> Any:
    document = {"networking": {"address": address, **more}, "tags": {"kuma.io/service": service}}
    return kit.resource("ExternalService", name, document)


def table(before: str = "", settings: Any = None, **sources: Any) -> dict[tuple[int, str], Any]:
    """Address, then port, tags and origin of each outbound, by type and name."""
    return {
        (int(host.type), host.name): (each.address, *((one.port, dict(one.tags), one.origin) for one in each.outbounds))
        for host, each in dns_vips.parse(stored(before, settings, **sources)).items()
    }


def stored(before: str = "", settings: Any = None, **sources: Any) -> str:
    """The text that is stored after `before`."""
    addresses = legacy_vips.Addresses(settings or legacy_vips.Settings())
    addresses.read(before)
    return addresses.updated(legacy_vips.Sources(**sources))


def test_services_get_addresses_in_the_order_of_their_names() -> None:
    assert table(tags=[WEB, API, {"other": "tag"}]) == {
        (0, "api"): ("240.0.0.0", (0, {"kuma.io/service": "api"}, "service")),
        (0, "web"): ("240.0.0.1", (0, {"kuma.io/service": "web"}, "service")),
    }


def test_addresses_stay() -> None:
    first = stored(tags=[WEB])
    later = table(first, tags=[WEB, API])
    assert [later[0, "web"][0], later[0, "api"][0]] == ["240.0.0.0", "240.0.0.1"]
    moved = table(first, legacy_vips.Settings(cidr="250.0.0.0/8"), tags=[WEB])
    assert moved[0, "web"][0] == "250.0.0.0"


def test_an_address_of_what_is_gone_is_free_only_afterwards() -> None:
    second = stored(stored(tags=[WEB]), tags=[API])
    assert dns_vips.parse(second)[dns_vips.Host(SERVICE, "api")].address == "240.0.0.1"
    assert table(second, tags=[API, WEB])[0, "web"][0] == "240.0.0.0"


def test_what_says_the_same_stays_as_it_is() -> None:
    small = stored(settings=legacy_vips.Settings(tag_first=True), tags=[WEB])
    assert stored(small, tags=[WEB]) == small
    assert stored(small, tags=[WEB, API]).startswith('{"0:api"')
    assert stored() == ""


def test_external_services_have_a_port_and_their_host() -> None:
    assert table(external_services=[external()]) == {
        (0, "bank"): ("240.0.0.0", (443, {"kuma.io/service": "bank"}, "service")),
        (1, "bank.example.com"): ("240.0.0.1", (443, {"kuma.io/service": "bank"}, "external-service:bank-1")),
    }
    assert list(table(external_services=[external(disableHostDNSEntry=True)])) == [(0, "bank")]


def test_a_host_that_is_an_address_is_dialled_as_it_is() -> None:
    found = table(external_services=[external(address="10.1.2.3:80")])
    assert found[1, "10.1.2.3"][0] == "10.1.2.3"


def test_the_first_to_take_a_name_and_port_has_it() -> None:
    found = table(external_services=[external("a", service="one"), external("b", service="two")])
    assert found[1, "bank.example.com"][1:] == ((443, {"kuma.io/service": "one"}, "external-service:a"),)
    both = table(external_services=[external("a"), external("b", address="bank.example.com:80")])
    assert [each[0] for each in both[1, "bank.example.com"][1:]] == [80, 443]


def test_virtual_outbounds_make_names_of_tags() -> None:
    own = kit.resource("VirtualOutbound", "by-version", BY_VERSION)
    found = table(tags=[{**WEB, "port": "80", "team": "a"}, {**WEB, "port": "x"}, API], virtual_outbounds=[own])
    tags = {"kuma.io/service": "web", "version": "v1", "port": "80"}
    assert found[2, "v1.web.mesh"][1:] == ((80, tags, "virtual-outbound:by-version"),)
    assert [name for kind, name in found if kind == FQDN] == ["v1.web.mesh"]
    assert FQDN not in {kind for kind, _ in table(tags=[{**WEB, "port": "0"}], virtual_outbounds=[own])}


def test_virtual_outbounds_are_about_what_they_select() -> None:
    conf = {"host": "{{.s}}.x", "port": "1", "parameters": [{"name": "s", "tagKey": "kuma.io/service"}]}
    own = kit.resource("VirtualOutbound", "v", {"selectors": [{"match": {"kuma.io/service": "api"}}], "conf": conf})
    assert (2, "web.x") not in table(tags=[WEB], virtual_outbounds=[own])
    every = kit.resource("VirtualOutbound", "v", {"conf": conf})
    assert (2, "bank.x") in table(external_services=[external()], virtual_outbounds=[every])


def test_gateways_that_are_open_to_other_meshes() -> None:
    listeners = [
        {"port": 80, "protocol": "HTTP", "crossMesh": True, "hostname": "in.example.com", "tags": {"l": "1"}},
        {"port": 81, "protocol": "HTTP", "crossMesh": True, "hostname": "*"},
        {"port": 82, "protocol": "HTTP", "hostname": "closed.example.com"},
    ]
    document = {"selectors": [{"match": {"kuma.io/service": "edge"}}], "conf": {"listeners": listeners}}
    found = table(gateways=[kit.resource("MeshGateway", "edge", {**document, "tags": {"g": "1"}})])
    assert {name: each[1] for (_, name), each in found.items()} == {
        "in.example.com": (
            80,
            {"g": "1", "kuma.io/service": "edge", "l": "1", "mesh": "m"},
            "mesh-gateway:m:edge:in.example.com",
        ),
        "internal.edge.m.mesh": (
            81,
            {"g": "1", "kuma.io/service": "edge", "mesh": "m"},
            "mesh-gateway:m:edge:internal.edge.m.mesh",
        ),
    }


def test_services_may_go_without() -> None:
    found = table(settings=legacy_vips.Settings(of_services=False), tags=[WEB], external_services=[external()])
    assert list(found) == [(HOST, "bank.example.com")]


def test_a_network_that_is_used_up() -> None:
    found = table(settings=legacy_vips.Settings(cidr="240.0.0.0/32"), tags=[WEB, API])
    assert [each[0] for each in found.values()] == ["240.0.0.0", ""]
