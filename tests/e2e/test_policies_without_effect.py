"""What the command line tells of policies that can do nothing, judged by what the Envoy of a proxy has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit import cli, meshes, network, planes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


class Shell:
    """A command line whose only control plane is this one."""

    def __init__(self, plane: planes.Plane, folder: Path) -> None:
        self._own = ["--config-file", str(folder / f"kumactl-{plane.api_port}")]
        server = f"http://127.0.0.1:{plane.api_port}"
        assert self("config", "control-planes", "add", "--name", "cp", "--address", server).code == 0

    def __call__(self, *args: str, stdin: str = "") -> cli.Outcome:
        return cli.kumactl([*self._own, *args], stdin)

    def apply(self, *documents: Any) -> list[str]:
        """The warnings of `apply`, which must succeed."""
        done = self("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))
        assert done.code == 0, done
        return done.err.splitlines()


def test_patches_and_confs_that_find_nothing(mesh: meshes.Mesh, tmp_path: Path) -> None:
    shell = Shell(mesh.plane, tmp_path)
    app = mesh.echo("tcp")
    mesh.sidecar("echo", inbounds={"echo": app.inbound}).launch().ready()
    mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",)).launch().ready()
    own = {"mesh": mesh.name}
    patched = {"value": "connectTimeout: 77s", "operation": "Patch"}
    changes = [{"cluster": {**patched, "match": {"name": name}}} for name in ("echo", "eco")]
    patch = {"type": "MeshProxyPatch", **own, "name": "p", "spec": {"default": {"appendModifications": changes}}}
    unmatched = "spec.default.appendModifications[1].cluster: matches nothing of the 2 Dataplanes that were looked at"
    assert shell.apply(patch) == [f"Warning: {unmatched}"]

    def timeout(service: str) -> dict[str, Any]:
        entry = {"targetRef": {"kind": "MeshService", "name": service}, "default": {"http": {"requestTimeout": "1s"}}}
        return {"type": "MeshTimeout", **own, "name": "t", "spec": {"to": [entry]}}

    missing = 'spec.to[0].targetRef: there is no MeshService "eco"'
    assert shell.apply(timeout("eco")) == [f"Warning: {missing}"]
    spoken = 'the MeshService "echo" speaks tcp, and this is about grpc, http, http2'
    assert shell.apply(timeout("echo")) == [f"Warning: spec.to[0].default.http: {spoken}"]

    asked = shell("inspect", "meshtimeout", "t", "-m", mesh.name)
    assert (asked.code, asked.err) == (0, f"Warning: spec.to[0].default.http: {spoken}\n")
    assert asked.out.startswith("Affected data plane proxies:")

    def shown() -> set[str]:
        found = mesh.plane.get(f"/mesh-insights/{mesh.name}").get("warnings", [])
        return {f"{each['type']} {each['name']} {each['field']}: {each['reason']}" for each in found}

    network.until(
        "the insight names both",
        lambda: shown() == {f"MeshTimeout t spec.to[0].default.http: {spoken}", f"MeshProxyPatch p {unmatched}"},
    )
    assert shell.apply(timeout("web"), {**patch, "spec": {"default": {"appendModifications": changes[:1]}}}) == []
    network.until("the insight has forgotten them", lambda: not shown())


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[meshes.Mesh]:
    """The only mesh of a control plane: a Mesh and the Secrets of a CA that was provided cannot come in one order."""
    (tmp_path / "source").mkdir()
    source = planes.Plane(tmp_path / "source")
    try:
        source.start()
        with meshes.mesh(source) as found:
            yield found
    finally:
        source.end()


def test_an_export_can_be_applied_to_a_fresh_control_plane(alone: meshes.Mesh, tmp_path: Path) -> None:
    mesh = alone
    mesh.write(mtls=meshes.mtls())
    mesh.permit()
    mesh.sidecar("web", inbounds={"web": (1, "http")}).launch().ready()
    network.until("the mesh has an insight", lambda: is_counted(mesh.plane, mesh.name))
    exported = Shell(mesh.plane, tmp_path)("export", "--profile", "all", "--include-admin")
    assert exported.code == 0
    documents = [each for each in yaml.safe_load_all(exported.out) if each]
    (tmp_path / "fresh").mkdir()
    fresh = planes.Plane(tmp_path / "fresh")
    try:
        fresh.start()
        done = Shell(fresh, tmp_path)("apply", "-f", "-", stdin=exported.out)
        assert done.code == 0, done
        skipped = [each for each in documents if each["type"].endswith("Insight")]
        assert {each["type"] for each in skipped} >= {"MeshInsight", "DataplaneInsight", "ServiceInsight"}
        assert done.err.count("skipped: the control plane writes this kind by itself") == len(skipped)
        assert len(done.out.splitlines()) == len(documents) - len(skipped)
        ca = f"/meshes/{mesh.name}/secrets/{mesh.name}.ca-builtin-cert-ca-1"
        assert fresh.get(ca)["data"] == mesh.plane.get(ca)["data"]
    finally:
        fresh.end()


def is_counted(plane: planes.Plane, mesh: str) -> bool:
    """Whether the control plane has written what it counts of a mesh and its services."""
    answer = plane.call("GET", f"/meshes/{mesh}/service-insights/web")
    return plane.call("GET", f"/mesh-insights/{mesh}").status == answer.status == 200
