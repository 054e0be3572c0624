"""Identities of MeshIdentities: who may call whom by SPIFFE ID, and the way there from mutual TLS of the mesh."""

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, pki, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("identities")]

EXCLUSIVE = {"mode": "Exclusive"}
AT_ONCE = {"CORE_RESOURCES_STATUS_MESH_IDENTITY_INTERVAL": "1s", "XDS_DATAPLANE_DEREGISTRATION_DELAY": "2s"}


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A control plane on which a new identity is trusted for a second before it is used."""
    made = planes.Plane(tmp_path_factory.mktemp("plane"), **AT_ONCE)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def mesh(plane: planes.Plane) -> Iterator[meshes.Mesh]:
    with meshes.mesh(plane) as made:
        made.write(meshServices=EXCLUSIVE)
        yield made


def identity(mesh: meshes.Mesh, name: str = "identity", expiry: str = "24h", **selector: Any) -> dict[str, Any]:
    """A MeshIdentity whose authority the control plane makes; it selects all proxies."""
    bundled = {
        "insecureAllowSelfSigned": True,
        "autogenerate": {"enabled": True},
        "certificateParameters": {"expiry": expiry},
    }
    spec = {
        "selector": selector or {"dataplane": {"matchLabels": {}}},
        "provider": {"type": "Bundled", "bundled": bundled},
    }
    return {"type": "MeshIdentity", "mesh": mesh.name, "name": name, "spec": spec}


def domain(mesh: meshes.Mesh) -> str:
    return f"{mesh.name}.default.mesh.local"


def allow(mesh: meshes.Mesh, *ids: str, kind: str = "Exact") -> None:
    """A permission for these SPIFFE IDs alone."""
    allowed = [{"spiffeID": {"type": kind, "value": each}} for each in ids]
    mesh.plane.put(mesh.permission("permit", {"rules": [{"default": {"allow": allowed}}]}))


def workload(mesh: meshes.Mesh, name: str, outbound: str = "", **options: Any) -> sidecars.Sidecar:
    """A proxy of a workload, with a way to the MeshService `outbound`."""
    made = mesh.sidecar(name, outbounds=(outbound,) if outbound else (), **options)
    made.dataplane["labels"] = {"kuma.io/workload": name}
    made.token = mesh.plane.token(mesh.name, name, workload=name)
    for each in made.dataplane["networking"]["outbound"]:
        each.pop("tags")
        port = mesh_port(mesh, outbound)
        each["backendRef"] = {"kind": "MeshService", "name": outbound, "port": port}
    return made


def mesh_port(mesh: meshes.Mesh, service: str) -> int:
    server = next(each for each in mesh.sidecars if service in each.inbound_port)
    return server.inbound_port[service]


def pair(mesh: meshes.Mesh, **settings: str) -> tuple[sidecars.Sidecar, sidecars.Sidecar]:
    """A client `web` and a server `echo`."""
    server = workload(mesh, "echo", inbounds={"echo": mesh.echo("http").inbound}, **settings).launch()
    web = workload(mesh, "web", "echo", inbounds={"web": (1, "http")}, **settings).launch()
    return web.ready(), server.ready()


def until_issued(mesh: meshes.Mesh, proxy: str, backend: str) -> dict[str, Any]:
    """Waits until the insight of a proxy tells this issuer."""

    def issued() -> dict[str, Any]:
        found: dict[str, Any] = mesh.plane.insight(mesh.name, proxy).get("mTLS", {})
        assert found.get("issuedBackend") == backend, found
        return found

    return network.until(f"{proxy} has a certificate of {backend}", issued)


@pytest.mark.parametrize("variant", ["GRPC", "DELTA_GRPC"])
def test_workloads_prove_who_they_are_and_permissions_tell_them_apart(mesh: meshes.Mesh, variant: str) -> None:
    mesh.plane.put(identity(mesh))
    allow(mesh, f"spiffe://{domain(mesh)}/workload/web")
    web, server = pair(mesh, DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT=variant)
    traffic.until_status(web.url("echo"), 200)
    by = f"kri_mid_{mesh.name}_default__identity_"
    told = until_issued(mesh, "echo", by)
    assert told["supportedBackends"] == [f"kri_mtrust_{mesh.name}___identity_"]
    told_to_application = traffic.headers_seen(web.url("echo"))["x-forwarded-client-cert"]
    assert told_to_application.endswith(f";URI=spiffe://{domain(mesh)}/workload/web")
    assert traffic.status(server.inbound("echo")) == 0, "plaintext was taken"
    allow(mesh, f"spiffe://{domain(mesh)}/workload/job")
    traffic.until_status(web.url("echo"), 403)
    allow(mesh, f"spiffe://{domain(mesh)}/workload", kind="Prefix")
    traffic.until_status(web.url("echo"), 200)
    mesh.plane.delete(mesh.permission("permit", {}))
    traffic.until_status(web.url("echo"), 403)


def test_certificates_are_renewed_under_traffic_without_a_failed_request(mesh: meshes.Mesh) -> None:
    mesh.plane.put(identity(mesh, expiry="4s"))
    allow(mesh, f"spiffe://{domain(mesh)}", kind="Prefix")
    web, server = pair(mesh)
    traffic.until_status(web.url("echo"), 200)
    seen: set[int] = set()

    def renewed() -> bool:
        seen.add(pki.serial_of(server.inbound("echo")))
        return len(seen) > 2

    with traffic.flowing(web.url("echo")) as requests:
        network.until("two renewals", renewed, 60)
        requests.until_more()


def test_an_authority_is_replaced_without_a_failed_request(mesh: meshes.Mesh) -> None:
    mesh.plane.put(identity(mesh))
    allow(mesh, f"spiffe://{domain(mesh)}", kind="Prefix")
    web, server = pair(mesh)
    traffic.until_status(web.url("echo"), 200)
    first = pki.serial_of(server.inbound("echo"))
    new = pki.issue([f"spiffe://{domain(mesh)}"], ca=True, name="new")
    with traffic.flowing(web.url("echo")) as requests:
        for name, pem in (("identity-root-ca", new.cert), ("identity-private-key", new.key)):
            data = base64.b64encode(pem).decode()
            mesh.plane.put({"type": "Secret", "mesh": mesh.name, "name": name, "data": data})
        network.until("the new authority is trusted", lambda: len(bundles(mesh)) == 2)
        network.until("it signs", lambda: pki.serial_of(server.inbound("echo")) != first)
        requests.until_more(100)


def bundles(mesh: meshes.Mesh) -> list[Any]:
    found: list[Any] = mesh.plane.get(f"/meshes/{mesh.name}/meshtrusts/identity")["spec"]["caBundles"]
    return found


@pytest.mark.parametrize("variant", ["GRPC", "DELTA_GRPC"])
def test_a_mesh_goes_from_its_own_authority_to_identities_and_back_without_a_failed_request(
    mesh: meshes.Mesh, variant: str
) -> None:
    mesh.write(meshServices=EXCLUSIVE, mtls=meshes.mtls())
    allow(mesh, f"spiffe://{mesh.name}", f"spiffe://{domain(mesh)}", kind="Prefix")
    web, server = pair(mesh, DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT=variant)
    traffic.until_status(web.url("echo"), 200)
    by = f"kri_mid_{mesh.name}_default__identity_"
    with traffic.flowing(web.url("echo")) as requests:
        mesh.plane.put(identity(mesh))
        for each in ("web", "echo"):
            until_issued(mesh, each, by)
        requests.until_more(100)
        mesh.write(meshServices=EXCLUSIVE)
        network.until("the authority of the mesh is trusted no more", lambda: not trusts(web, f"spiffe://{mesh.name}/"))
        requests.until_more(100)
        mesh.write(meshServices=EXCLUSIVE, mtls=meshes.mtls())
        network.until("the authority of the mesh is trusted again", lambda: trusts(web, f"spiffe://{mesh.name}/"))
        requests.until_more(20)
        mesh.plane.delete(identity(mesh))
        for each in ("web", "echo"):
            until_issued(mesh, each, "ca-1")
        requests.until_more(100)
    assert pki.serial_of(server.inbound("echo"))


def trusts(proxy: sidecars.Sidecar, prefix: str) -> bool:
    """Whether clients with such URIs may connect to the inbounds of a proxy."""
    return f'"prefix": "{prefix}"' in proxy.admin("/config_dump?resource=dynamic_listeners")[1]
