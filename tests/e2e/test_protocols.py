"""Every protocol through two sidecars, without mTLS, with it, and half way."""

import grpc
import pytest

from tests.kit import meshes, network, planes, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PROTOCOLS = ("tcp", "http", "http2", "grpc")
VARIANT = "DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT"


@pytest.mark.parametrize("variant", ["GRPC", "DELTA_GRPC"])
def test_every_protocol_without_and_with_mtls(mesh: meshes.Mesh, variant: str) -> None:
    apps = {protocol: mesh.echo(protocol).inbound for protocol in PROTOCOLS}
    server = mesh.sidecar("echo", inbounds=apps, **{VARIANT: variant}).launch()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=PROTOCOLS, **{VARIANT: variant}).launch()
    server.ready()
    web.ready()
    for protocol in PROTOCOLS:
        traffic.until_works(protocol, web.url(protocol))
    assert "x-forwarded-client-cert" not in traffic.headers_seen(web.url("http"))

    mesh.permit()
    mesh.write(mtls=meshes.mtls())
    network.until("the server sees who calls", lambda: is_secured(web.url("http"), mesh.name))
    for protocol in PROTOCOLS:
        traffic.until_works(protocol, web.url(protocol))
    assert [each for each in PROTOCOLS if takes_plaintext(each, server.inbound(each))] == []

    mesh.write()
    network.until("mTLS is off again", lambda: not is_secured(web.url("http"), mesh.name))
    for protocol in PROTOCOLS:
        traffic.until_works(protocol, web.url(protocol))


def test_a_permissive_mesh_takes_plaintext_and_mtls(mesh: meshes.Mesh) -> None:
    mesh.write(mtls=meshes.mtls(mode="PERMISSIVE"))
    mesh.permit()
    apps = {protocol: mesh.echo(protocol).inbound for protocol in PROTOCOLS}
    server = mesh.sidecar("echo", inbounds=apps).launch()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=PROTOCOLS).launch()
    server.ready()
    web.ready()
    for protocol in PROTOCOLS:
        traffic.until_works(protocol, web.url(protocol))
    assert [each for each in PROTOCOLS if takes_plaintext(each, server.inbound(each))] == list(PROTOCOLS)
    assert not is_secured(server.inbound("http"), mesh.name)
    network.until("clients use mTLS once all servers can", lambda: is_secured(web.url("http"), mesh.name))
    for protocol in PROTOCOLS:
        traffic.until_works(protocol, web.url(protocol))

    mesh.write(mtls=meshes.mtls(mode="STRICT"))
    network.until(
        "plaintext is refused", lambda: not [each for each in PROTOCOLS if takes_plaintext(each, server.inbound(each))]
    )
    for protocol in PROTOCOLS:
        traffic.until_works(protocol, web.url(protocol))


def test_two_servers_of_a_service_share_the_traffic(mesh: meshes.Mesh) -> None:
    for name in ("echo-1", "echo-2"):
        mesh.sidecar(name, inbounds={"echo": mesh.echo("http", name).inbound}).launch()
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).launch()
    for each in mesh.sidecars:
        each.ready()
    seen = set()

    def both() -> bool:
        seen.add(traffic.get(web.url("echo")).document["app"])
        return seen == {"echo-1", "echo-2"}

    network.until("both servers answered", both)


def test_a_service_that_comes_later_is_reached(mesh: meshes.Mesh) -> None:
    web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).start()
    assert traffic.status(web.url("echo")) == 0
    mesh.sidecar("echo", inbounds={"echo": mesh.echo("http").inbound}).start()
    traffic.until_status(web.url("echo"), 200)


def takes_plaintext(protocol: str, inbound: traffic.Target) -> bool:
    """Whether an inbound serves a client that uses no TLS."""
    try:
        traffic.check(protocol, inbound)
    except (AssertionError, OSError, grpc.RpcError):
        return False
    return True


def is_secured(target: traffic.Target, mesh: str) -> bool:
    """Whether the application sees a client that proved to be `web` of this mesh."""
    answer: planes.Answer = traffic.get(target)
    assert answer.status == 200, answer.text
    return f"URI=spiffe://{mesh}/web" in answer.document["headers"].get("x-forwarded-client-cert", "")
