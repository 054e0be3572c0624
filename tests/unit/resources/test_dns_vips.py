"""The stored forms of legacy virtual addresses."""

import pytest

from kuma.resources import dns_vips as vips

SHOP = vips.Outbound(0, (("kuma.io/service", "shop"),), "service")
V2 = vips.Outbound(80, (("kuma.io/service", "shop"), ("version", "v2")), "virtual-outbound:by-version")
BANK = vips.Outbound(443, (("kuma.io/service", "bank"),), "external-service:bank-1")
CROSS = vips.Outbound(8080, (("kuma.io/service", "edge"), ("mesh", "m")), "mesh-gateway:m:edge:in.example.com")
TABLE = {
    vips.Host(vips.HostType.SERVICE, "shop"): vips.VirtualOutbound("240.0.0.0", (SHOP,)),
    vips.Host(vips.HostType.HOST, "bank.example.com"): vips.VirtualOutbound("240.0.0.1", (BANK,)),
    vips.Host(vips.HostType.HOST, "10.1.2.3"): vips.VirtualOutbound("10.1.2.3", (BANK._replace(port=80),)),
    vips.Host(vips.HostType.FQDN, "v2.shop.mesh"): vips.VirtualOutbound("240.0.0.2", (V2, V2._replace(port=81))),
    vips.Host(vips.HostType.FQDN, "in.example.com"): vips.VirtualOutbound("240.0.0.3", (CROSS,)),
}


@pytest.mark.parametrize("tag_first", [False, True])
def test_what_is_written_is_read_again(tag_first: bool) -> None:
    assert vips.parse(vips.encode(TABLE, tag_first=tag_first)) == TABLE


def test_the_default_form() -> None:
    only = {host: TABLE[host] for host in TABLE if host.type is vips.HostType.SERVICE}
    expected = (
        '{"0:shop":{"address":"240.0.0.0","outbounds":[{"Port":0,"TagSet":{"kuma.io/service":"shop"},'
        '"Origin":"service"}]}}'
    )
    assert vips.encode(only) == expected


def test_the_small_form() -> None:
    only = {host: TABLE[host] for host in TABLE if host.name in ("shop", "v2.shop.mesh")}
    expected = (
        '{"v":{"shop":{"oe":[{"ap":[{"a":"240.0.0.0","o":"svc"}]},{"t":{"version":"v2"},"ap":['
        '{"a":"240.0.0.2","d":"v2.shop.mesh","p":80,"o":"virtual-outbound:by-version"},'
        '{"a":"240.0.0.2","d":"v2.shop.mesh","p":81,"o":"virtual-outbound:by-version"}]}]}}}'
    )
    assert vips.encode(only, tag_first=True) == expected


def test_nothing_stored_is_nothing_and_nonsense_is_refused() -> None:
    assert vips.parse("") == vips.parse("{}") == vips.parse('{"v":{}}') == {}
    for text in ("[]", "{", '{"shop":{}}', '{"3:shop":{}}', '{"0:shop":"240.0.0.0"}'):
        with pytest.raises(ValueError, match="no table of virtual addresses"):
            vips.parse(text)


@pytest.mark.parametrize(
    ("name", "mesh"),
    [
        ("kuma-shop-dns-vips", "shop"),
        ("kuma-a-dns-vips-dns-vips", "a-dns-vips"),
        ("kuma-cluster-id", None),
        ("kuma--dns-vips", None),
    ],
)
def test_names_of_configs(name: str, mesh: str | None) -> None:
    assert vips.mesh_of(name) == mesh
    assert mesh is None or vips.config_name(mesh) == name
