"""When the agent answers DNS itself, and on which sockets."""

import socket

import pytest

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.dns import listening
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import host
from kuma.apps.dataplane.joining.definition import Definition
from tests.kit.name_servers import bind_free

PROXY_PORT = {"KUMA_DNS_PROXY_PORT": "5300"}


@pytest.mark.parametrize(
    ("flags", "environ", "redirected", "port"),
    [
        ({}, {}, False, 0),
        ({}, {}, True, 15053),
        ({"dns_coredns_port": "5301"}, {}, False, 5301),
        ({}, PROXY_PORT, False, 5300),
        ({"dns_coredns_port": "5301"}, PROXY_PORT, True, 5300),
        ({"dns_enabled": "false"}, PROXY_PORT, True, 0),
        ({"proxy_type": "ingress"}, PROXY_PORT, False, 0),
    ],
)
def test_port(flags: dict[str, str], environ: dict[str, str], redirected: bool, port: int) -> None:
    assert listening.chosen_port(conf.load_settings(flags, environ), redirected) == port


def test_a_taken_port_ends_the_agent_with_a_way_out() -> None:
    udp, tcp = bind_free()
    settings = conf.load_settings({}, {"KUMA_DNS_PROXY_PORT": str(udp.getsockname()[1])})
    with udp, tcp, pytest.raises(AgentError, match=r"could not answer DNS on 127.0.0.1:\d+: .* KUMA_DNS_PROXY_PORT"):
        listening.open_sockets(settings, None, None, True)


@pytest.mark.parametrize(
    ("networking", "redirected"),
    [
        ({"transparentProxying": {"redirectPortOutbound": 15001, "redirectPortInbound": 15006}}, True),
        ({"transparentProxying": {"redirectPortInbound": 15006}}, False),
        ({"transparentProxying": None}, False),
        ("nonsense", False),
    ],
)
def test_a_definition_may_say_that_traffic_is_redirected(networking: object, redirected: bool) -> None:
    assert listening.is_redirected(Definition({"networking": networking})) is redirected


def test_two_addresses_are_four_sockets() -> None:
    udp, tcp = bind_free()
    port = udp.getsockname()[1]
    udp.close()
    tcp.close()
    settings = conf.load_settings({}, {"KUMA_DNS_PROXY_PORT": str(port)})
    opened = [each for pair in listening.open_sockets(settings, {}, None, host.has_ipv6()) for each in pair]
    assert {each.getsockname()[1] for each in opened} == {port}
    assert len(opened) == (4 if host.has_ipv6() else 2)
    for each in opened:
        each.close()


VNET = {"redirect": {"vnet": {"networks": ["docker0:172.17.0.0/16"]}}}


@pytest.mark.parametrize(
    ("redirection", "has_ipv6", "addresses"),
    [
        (None, True, ("127.0.0.1",)),
        ({"ipFamilyMode": "ipv4"}, True, ("127.0.0.1",)),
        ({"ipFamilyMode": "dualstack"}, True, ("127.0.0.1", "::1")),
        ({"ipFamilyMode": "dualstack"}, False, ("127.0.0.1",)),
        ({}, True, ("127.0.0.1", "::1")),
        ({"ipFamilyMode": "ipv4", **VNET}, True, ("0.0.0.0",)),
        ({"ipFamilyMode": "dualstack", **VNET}, True, ("0.0.0.0", "::")),
    ],
)
def test_where_it_listens(redirection: dict[str, object] | None, has_ipv6: bool, addresses: tuple[str, ...]) -> None:
    assert listening.addresses(redirection, has_ipv6) == addresses


def test_a_taken_port_is_an_error_and_nothing_stays_open() -> None:
    udp, tcp = bind_free()
    port = udp.getsockname()[1]
    udp.close()
    with pytest.raises(OSError):
        listening.bind("127.0.0.1", port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", port))
    tcp.close()
