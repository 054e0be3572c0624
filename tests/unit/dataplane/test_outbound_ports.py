"""Outbound ports: which a Dataplane has, and that nobody else gets them."""

import json
import socket
from contextlib import ExitStack
from typing import Any

import pytest

from kuma.apps.dataplane import preparation
from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import host, outbound_ports
from kuma.apps.dataplane.joining.definition import Definition
from tests.kit import network


def definition(*outbounds: Any, **networking: Any) -> Definition:
    return Definition(
        {
            "type": "Dataplane",
            "mesh": "default",
            "name": "web",
            "networking": {"address": "127.0.0.2", "outbound": list(outbounds), **networking},
        }
    )


@pytest.mark.parametrize(
    ("brought", "addresses"),
    [
        (definition(), ()),
        (Definition({}), ()),
        (Definition({"networking": {"outbound": "x"}}), ()),
        (definition({"port": 1}), (("127.0.0.1", 1),)),
        (definition({"port": 1, "address": "::1"}, {"port": 1}), (("::1", 1), ("127.0.0.1", 1))),
        (definition({"port": 1}, {"port": 1}), (("127.0.0.1", 1),)),
        (definition("x", {"port": "1"}, {"port": 70000}, {"address": 1, "port": 1}), ()),
        (definition({"port": 1}, transparentProxying={"redirectPortOutbound": 15001}), ()),
    ],
)
def test_addresses(brought: Definition, addresses: Any) -> None:
    assert outbound_ports.addresses_of(brought) == addresses


def test_an_address_elsewhere_is_left_to_envoy() -> None:
    assert outbound_ports.reserve_outbounds(definition({"port": 1234, "address": "240.0.0.1"}), "") == []


def one_line(port: int, **flags: Any) -> conf.Settings:
    known = {"service": "web", "port": "1", "address": "127.0.0.1", "outbounds": [f"api={port}"]}
    return conf.load_settings({**known, **flags}, {})


def from_file(port: int, **flags: Any) -> conf.Settings:
    return conf.load_settings({"resource": json.dumps(definition({"port": port}).document), **flags}, {})


@pytest.mark.parametrize(
    ("form", "flag"), [(one_line, "--outbound NAME=PORT"), (from_file, "networking.outbound of the definition (-d")]
)
def test_a_second_agent_is_told_which_port_is_taken(form: Any, flag: str) -> None:
    port = network.free_port()
    with ExitStack() as first, ExitStack() as second:
        preparation.read_dataplane(form(port), first)
        with pytest.raises(AgentError) as refused:
            preparation.read_dataplane(form(port), second)
    assert f"outbound port {port} on 127.0.0.1 is taken" in str(refused.value)
    assert flag in str(refused.value)
    preparation.read_dataplane(form(port), second)  # given back


def test_redirected_traffic_needs_no_ports() -> None:
    port = network.free_port()
    with ExitStack() as resources:
        preparation.read_dataplane(from_file(port, transparent_proxy="true"), resources)
        preparation.read_dataplane(from_file(port, transparent_proxy="true"), resources)


def listener(port: int = 0) -> socket.socket:
    """A listening socket with the options of Envoy's."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    made.bind(("127.0.0.1", port))
    made.listen()
    return made


def test_a_port_with_a_listener_is_taken() -> None:
    with listener() as envoy, pytest.raises(OSError, match="in use"):
        host.reserve_port("127.0.0.1", envoy.getsockname()[1])


def test_connections_of_an_earlier_proxy_do_not_hold_its_port() -> None:
    with listener() as envoy:
        port = envoy.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            envoy.accept()[0].close()  # closed from this side first, so TIME_WAIT is here
            assert client.recv(1) == b""
    with host.reserve_port("127.0.0.1", port):
        with pytest.raises(OSError, match="in use"):
            host.reserve_port("127.0.0.1", port)
        listener(port).close()
