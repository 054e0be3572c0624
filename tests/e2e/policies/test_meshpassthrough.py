"""What may leave a proxy for destinations that the mesh does not know, with connections as redirection leaves them.

No rules of the kernel are needed: the listener is made transparent, so that Envoy takes the address that a client dials
for the original destination, and its clusters dial the application's port at that address. Both are patches.
"""

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import meshes, network, pki, planes, sidecars, traffic

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("meshpassthrough"),
    pytest.mark.skipif(os.geteuid() != 0, reason="transparent sockets are for root"),
]

KNOWN, UNKNOWN = "127.0.0.1", "127.0.0.3"
SERVER = pki.issue(["spiffe://elsewhere/server"])
GREETING = b"\x0a8.0.0"


class Way:
    """A proxy with redirected traffic, and the port on which it is taken."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        self.port = network.free_port()
        self.web: sidecars.Sidecar = mesh.sidecar("web", inbounds={"web": (1, "http")}, DNS_ENABLED="false")
        self.web.dataplane["networking"]["transparentProxying"] = {
            "redirectPortInbound": network.free_port(),
            "redirectPortOutbound": self.port,
            "ipFamilyMode": "IPv4",
        }
        self.lead_to(1)
        self.web.start()

    def write(self, kind: str, default: dict[str, Any]) -> None:
        """Writes one of the two policies."""
        document = {"type": kind, "mesh": self.mesh.name, "name": "p", "spec": {"default": default}}
        plural = {"MeshProxyPatch": "meshproxypatches", "MeshPassthrough": "meshpassthroughs"}[kind]
        answer = self.mesh.plane.call("PUT", f"/meshes/{self.mesh.name}/{plural}/p", document)
        assert answer.status in (200, 201), answer.text

    def lead_to(self, port: int) -> None:
        """Everything that leaves the proxy goes to this port."""
        override = f"originalDstLbConfig: {{upstreamPortOverride: {port}}}"
        name = "outbound:passthrough:ipv4"
        patches: list[dict[str, Any]] = [
            {"listener": {"operation": "Patch", "match": {"name": name}, "value": "transparent: true"}},
            {"cluster": {"operation": "Patch", "match": {"name": name}, "value": override}},
            {"cluster": {"operation": "Patch", "match": {"origin": "meshpassthrough"}, "value": override}},
        ]
        self.write("MeshProxyPatch", {"appendModifications": patches})

    def allow(self, port: int, *matches: dict[str, Any], mode: str = "Matched") -> None:
        """Writes the policy; what it lets through goes to `port`. Each match is about the port that clients dial."""
        listed = [{"port": self.port, **each} for each in matches]
        self.lead_to(port)
        self.write("MeshPassthrough", {"passthroughMode": mode, "appendMatch": listed})


@pytest.fixture(scope="module")
def way(shared_plane: planes.Plane) -> Iterator[Way]:
    with meshes.mesh(shared_plane) as mesh:
        mesh.write(networking={"outbound": {"passthrough": False}})
        yield Way(mesh)


@contextlib.contextmanager
def serving(certificate: Path | None = None) -> Iterator[int]:
    """A server that greets its clients and hangs up, with TLS where there is a certificate."""
    listener = socket.create_server((KNOWN, 0))
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # the end
            with contextlib.suppress(OSError), contextlib.ExitStack() as open_ones:
                greeted = open_ones.enter_context(connection)
                if context is not None:
                    greeted = open_ones.enter_context(context.wrap_socket(connection, server_side=True))
                greeted.sendall(GREETING)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def greeting(address: str, port: int, server_name: str = "") -> bytes:
    """What a server says first; nothing where the connection is closed."""
    connection = socket.create_connection((address, port), traffic.SECONDS)
    with contextlib.suppress(ConnectionError, ssl.SSLError), connection:
        if not server_name:
            return connection.recv(100)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(connection, server_hostname=server_name) as secured:
            return secured.recv(100)
    return b""


def is_let_through(way: Way, address: str) -> bool:
    """Whether TCP gets through."""
    with contextlib.suppress(ConnectionError):
        return traffic.tcp((address, way.port)) == b"hello"
    return False


@pytest.mark.parametrize(
    "match", [{"type": "IP", "value": KNOWN}, {"type": "CIDR", "value": "127.0.0.0/31"}], ids=["IP", "CIDR"]
)
def test_addresses(way: Way, match: dict[str, Any]) -> None:
    way.allow(way.mesh.echo("tcp").port, match)
    network.until("it is let through", lambda: is_let_through(way, KNOWN))
    assert not is_let_through(way, UNKNOWN)


def test_everything_and_nothing(way: Way) -> None:
    port = way.mesh.echo("tcp").port
    way.allow(port, mode="All")
    network.until("everything is let through", lambda: is_let_through(way, KNOWN))
    way.allow(port, mode="None")
    network.until("nothing is let through", lambda: not is_let_through(way, KNOWN))


def test_hosts_of_http(way: Way) -> None:
    def asked(host: str) -> planes.Answer:
        return planes.ask(KNOWN, way.port, "GET", "/", headers={"host": host}, timeout=traffic.SECONDS)

    matches = [{"type": "Domain", "protocol": "http", "value": value} for value in ("one.test", "*.a.test")]
    way.allow(way.mesh.echo("http").port, *matches)
    network.until("it is let through", lambda: asked("one.test").status == 200)
    for host in (f"one.test:{way.port}", "in.a.test", f"in.a.test:{way.port}"):
        assert asked(host).status == 200, host
    refused = asked("two.test")
    assert refused.status == 503
    assert "No routes matched this domain" in refused.text


def test_server_names_of_tls(way: Way, tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_bytes(SERVER.cert + SERVER.key)
    with serving(tmp_path / "server.pem") as port:
        way.allow(port, {"type": "Domain", "protocol": "tls", "value": "*.a.test"})
        network.until("it is let through", lambda: greeting(KNOWN, way.port, "in.a.test") == GREETING)
        assert not greeting(KNOWN, way.port, "a.test")
        assert not greeting(KNOWN, way.port, "in.b.test")


def test_a_server_of_mysql_speaks_first(way: Way) -> None:
    with serving() as port:
        way.allow(port, {"type": "IP", "protocol": "mysql", "value": KNOWN})
        network.until("it is let through", lambda: greeting(KNOWN, way.port) == GREETING)
        assert not greeting(UNKNOWN, way.port)


def test_many_entries_are_taken_by_envoy(way: Way) -> None:
    """Entries that meet in all the ways that Envoy could refuse; the mesh looks for rejections at its end."""
    matches: list[dict[str, Any]] = [
        {"type": kind, "value": value, "protocol": protocol, "port": port}
        for kind, value in (("IP", KNOWN), ("IP", "10.0.0.1"), ("CIDR", "127.0.0.1/32"), ("CIDR", "10.0.0.0/8"))
        for protocol, port in (("tcp", 80), ("mysql", 80), ("http", 80), ("tls", 80), ("http2", 81))
    ]
    everywhere = [
        {key: value for key, value in each.items() if key != "port"}
        for each in matches
        if each["protocol"] in ("tcp", "http", "tls")
    ]
    names = [
        {"type": "Domain", "value": value, "protocol": protocol}
        for value in ("a.test", "b.a.test")
        for protocol in ("http", "tls")
    ]
    listed = [*matches, *everywhere, *names, {**names[0], "port": way.port}]
    way.write("MeshPassthrough", {"appendMatch": listed})
    network.until("Envoy has it", lambda: "meshpassthrough_tls_b.a.test_81" in way.web.admin("/config_dump")[1])
