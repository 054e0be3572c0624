"""A MeshMultiZoneService whose zones are entered in different ways: each hears the server name that it knows."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import meshes, network, pki, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


LABELS = {"name": "all"}
PORTS = [{"port": 80, "appProtocol": "http"}]


@contextlib.contextmanager
def entrance(certificate: Path, heard: list[str | None]) -> Iterator[int]:
    """The port of who stands for a way into a zone: it notes the server names that it is asked for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda connection, name, own: heard.append(name)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def far_service(mesh: meshes.Mesh, zone: str) -> dict[str, Any]:
    labels = {"kuma.io/origin": "global", "kuma.io/zone": zone, "kuma.io/display-name": "api", "of": "api"}
    identities = [{"type": "SpiffeID", "value": f"spiffe://{zone}.io/api"}]
    spec = {"ports": PORTS, "identities": identities, "state": "Available"}
    return {"type": "MeshService", "mesh": mesh.name, "name": f"api-{zone}", "labels": labels, "spec": spec}


def client(mesh: meshes.Mesh, **settings: str) -> sidecars.Sidecar:
    """A proxy with an identity and a way to the service `all`."""
    made = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("all",), **settings)
    made.dataplane["labels"] = {"kuma.io/workload": "web"}
    made.token = mesh.plane.token(mesh.name, "web", workload="web")
    (outbound,) = made.dataplane["networking"]["outbound"]
    del outbound["tags"]
    outbound["backendRef"] = {"kind": "MeshMultiZoneService", "labels": LABELS, "port": 80}
    return made.start()


@pytest.mark.parametrize("variant", ["GRPC", "DELTA_GRPC"])
def test_every_zone_is_asked_for_the_name_that_it_knows(mesh: meshes.Mesh, tmp_path: Path, variant: str) -> None:
    mesh.write(meshServices={"mode": "Exclusive"})
    pair = pki.issue(["spiffe://nobody/x"])
    (tmp_path / "pair.pem").write_bytes(pair.cert + pair.key)
    east, west = f"east-{mesh.name}", f"west-{mesh.name}"
    heard: dict[str, list[str | None]] = {east: [], west: []}
    with entrance(tmp_path / "pair.pem", heard[east]) as own, entrance(tmp_path / "pair.pem", heard[west]) as old:
        for each in (east, west):
            mesh.plane.put(far_service(mesh, each))
        way = {"address": "127.0.0.1", "port": own}
        labels = {"kuma.io/origin": "global", "kuma.io/zone": east}
        mesh.plane.put({"type": "MeshZoneAddress", "mesh": mesh.name, "name": "way", "labels": labels, "spec": way})
        networking = {"address": "127.0.0.1", "port": old, "advertisedAddress": "127.0.0.1", "advertisedPort": old}
        mesh.plane.put({"type": "ZoneIngress", "name": west, "zone": west, "networking": networking})
        gathered = {"selector": {"meshService": {"matchLabels": {"of": "api"}}}, "ports": PORTS}
        several = {"type": "MeshMultiZoneService", "mesh": mesh.name, "name": "all", "labels": LABELS}
        mesh.plane.put({**several, "spec": gathered})
        authority = {"autogenerate": {"enabled": True}, "insecureAllowSelfSigned": True}
        identity = {
            "selector": {"dataplane": {"matchLabels": {}}},
            "provider": {"type": "Bundled", "bundled": authority},
        }
        mesh.plane.put({"type": "MeshIdentity", "mesh": mesh.name, "name": "identity", "spec": identity})
        web = client(mesh, DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT=variant)

        def both_are_asked() -> bool:
            traffic.status(web.url("all"))
            return bool(heard[east] and heard[west])

        network.until("both zones are asked", both_are_asked)
    assert set(heard[east]) == {f"sni.mzsvc.{mesh.name}.all.80"}
    (by_hash,) = {str(each) for each in heard[west]}
    assert by_hash.startswith("a")
    assert by_hash.endswith(f".all.80.{mesh.name}.mzms")
