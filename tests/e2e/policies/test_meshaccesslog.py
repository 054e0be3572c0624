"""Lines arrive in files, over TCP and at an OpenTelemetry collector, from both sides of a call, with the right fields."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, planes, receivers, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshaccesslog")]

ALL = {"kind": "Mesh"}
FLUSHED = 30.0
"""Seconds: Envoy writes files every 10."""


class Cast:
    """A client `web` of the services `echo` (HTTP) and `tcp`, which one proxy serves."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        mesh.write(mtls=meshes.mtls())
        mesh.permit()
        apps = {"echo": mesh.echo("http").inbound, "tcp": mesh.echo("tcp").inbound}
        direct = {"DATAPLANE_RUNTIME_OTEL_PIPE_ENABLED": "false"}
        self.server = mesh.sidecar("echo", inbounds=apps, **direct).launch()
        self.web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo", "tcp"), **direct).launch()
        for each in mesh.sidecars:
            each.ready()

    def write(self, name: str, **spec: Any) -> dict[str, Any]:
        document = {"type": "MeshAccessLog", "mesh": self.mesh.name, "name": name, "spec": spec}
        self.mesh.plane.put(document)
        return document


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[Cast]:
    with meshes.mesh(shared_plane) as mesh:
        yield Cast(mesh)


def plain(line: str) -> dict[str, Any]:
    return {"type": "Plain", "plain": line}


def a_json(**members: str) -> dict[str, Any]:
    return {"type": "Json", "json": [{"key": key, "value": value} for key, value in members.items()]}


def a_file(proxy: sidecars.Sidecar, name: str, line: dict[str, Any]) -> dict[str, Any]:
    return {"type": "File", "file": {"path": str(proxy.folder / name), "format": line}}


def until_written(proxy: sidecars.Sidecar, name: str, wanted: str, target: traffic.Target) -> None:
    """Calls until a line is in a file of a proxy."""
    file = proxy.folder / name

    def is_written() -> bool:
        assert traffic.status(target) == 200
        found = file.read_text().splitlines() if file.exists() else []
        assert wanted in found, found[-1:]
        return True

    network.until(f"{wanted} in {name}", is_written, FLUSHED)


def test_every_way_out_at_once(cast: Cast) -> None:
    line = "%KUMA_MESH% %KUMA_TRAFFIC_DIRECTION% %KUMA_SOURCE_SERVICE%->%KUMA_DESTINATION_SERVICE% %KUMA_SOURCE_ADDRESS_WITHOUT_PORT%"
    filled = f"{cast.mesh.name} OUTBOUND web->echo {cast.web.address}"
    with receivers.lines() as receiver, receivers.otlp() as collector:
        backend = {
            "type": "MeshOpenTelemetryBackend",
            "mesh": cast.mesh.name,
            "name": "main",
            "labels": {"team": "web"},
            "spec": {"endpoint": {"address": "127.0.0.1", "port": collector.port}},
        }
        cast.mesh.plane.put(backend)
        attributes = [{"key": "service", "value": "%KUMA_SOURCE_SERVICE%"}]
        otlp = {"backendRef": {"kind": backend["type"], "labels": {"team": "web"}}, "attributes": attributes}
        backends = [
            a_file(cast.web, "all.log", plain(f"{line} %REQ(:PATH)% %RESPONSE_CODE%")),
            {
                "type": "Tcp",
                "tcp": {"address": f"127.0.0.1:{receiver.port}", "format": a_json(who=line, why="%PROTOCOL%")},
            },
            {"type": "Tcp", "tcp": {"address": f"127.0.0.1:{receiver.port}"}},
            {"type": "OpenTelemetry", "openTelemetry": {**otlp, "body": f"{line} %RESPONSE_CODE%"}},
        ]
        written = cast.write("all", to=[{"targetRef": ALL, "default": {"backends": backends}}])
        until_written(cast.web, "all.log", f"{filled} / 200", cast.web.url("echo"))
        network.until("lines of both formats", lambda: len({each[:1] for each in receiver.lines}) == 2, FLUSHED)
        documents = [json.loads(each) for each in receiver.lines if each.startswith("{")]
        assert {"who": filled, "why": "HTTP/1.1"} in documents
        default = [each for each in receiver.lines if not each.startswith("{")]
        assert all(f'] {cast.mesh.name} "GET / HTTP/1.1" 200 - 0 ' in each for each in default)
        assert f'"web" "echo" "{cast.web.address}"' in default[0]
        network.until("the collector has a record", lambda: collector.logs)
        resource, body, found = collector.logs[0]
        assert (resource["kuma.mesh"], body, found) == (cast.mesh.name, f"{filled} 200", {"service": "web"})
        cast.mesh.plane.delete(written)
        cast.mesh.plane.delete(backend)


def test_connections_and_clients(cast: Cast) -> None:
    """A rule about one client writes beside the rule about all; a connection is written when it ends."""
    web = {"spiffeID": {"type": "Prefix", "value": f"spiffe://{cast.mesh.name}/we"}}
    nobody = {"spiffeID": {"type": "Exact", "value": f"spiffe://{cast.mesh.name}/nobody"}}
    line = plain("%KUMA_SOURCE_SERVICE%->%KUMA_DESTINATION_SERVICE% %DOWNSTREAM_PEER_URI_SAN%")
    rules = [
        {"default": {"backends": [a_file(cast.server, "in.log", line)]}},
        {"matches": [web], "default": {"backends": [a_file(cast.server, "web.log", line)]}},
        {"matches": [nobody], "default": {"backends": [a_file(cast.server, "nobody.log", line)]}},
    ]
    written = cast.write("in", rules=rules)
    peer = f"spiffe://{cast.mesh.name}/web,kuma://kuma.io/protocol/http,kuma://kuma.io/service/web,kuma://kuma.io/zone/default"
    until_written(cast.server, "in.log", f"unknown->echo {peer}", cast.web.url("echo"))

    def tells() -> bool:
        assert traffic.tcp(cast.web.url("tcp")) == b"hello"
        found = (cast.server.folder / "web.log").read_text().splitlines()
        return {f"unknown->echo {peer}", f"unknown->tcp {peer}"} <= set(found)

    network.until("both services wrote about web", tells, FLUSHED)
    assert (cast.server.folder / "nobody.log").read_text() == ""
    cast.mesh.plane.delete(written)


@pytest.mark.parametrize("is_unified", [False, True])
def test_requests_of_a_route_have_a_log_of_their_own(shared_plane: planes.Plane, is_unified: bool) -> None:
    unified = {"DATAPLANE_RUNTIME_UNIFIED_RESOURCE_NAMING_ENABLED": "true"} if is_unified else {}
    with meshes.mesh(shared_plane) as mesh:
        mesh.write(meshServices={"mode": "Exclusive"})
        server = mesh.sidecar("echo", inbounds={"echo": mesh.echo("http").inbound}, **unified).launch().ready()
        web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",), **unified)
        (outbound,) = web.dataplane["networking"]["outbound"]
        del outbound["tags"]
        outbound["backendRef"] = {"kind": "MeshService", "name": "echo", "port": server.inbound_port["echo"]}
        web.start()
        traffic.until_status(web.url("echo"), 200)
        matches = [{"path": {"type": "PathPrefix", "value": "/special"}}]
        added = {
            "type": "RequestHeaderModifier",
            "requestHeaderModifier": {"add": [{"name": "x-special", "value": "1"}]},
        }
        rules = [{"matches": matches, "default": {"filters": [added]}}]
        target = {"kind": "MeshService", "name": "echo"}
        line = plain("%KUMA_DESTINATION_SERVICE% %REQ(:PATH)%")
        route = {"to": [{"targetRef": target, "rules": rules}]}
        mesh.plane.put({"type": "MeshHTTPRoute", "mesh": mesh.name, "name": "special", "spec": route})

        def is_special(path: str) -> bool:
            return "x-special" in traffic.get(web.url("echo"), path).document["headers"]

        network.until("the route is there", lambda: is_special("/special/offer"))
        to = [
            {"targetRef": ALL, "default": {"backends": [a_file(web, "all.log", line)]}},
            {
                "targetRef": {"kind": "MeshHTTPRoute", "name": "special"},
                "default": {"backends": [a_file(web, "special.log", line)]},
            },
        ]
        mesh.plane.put({"type": "MeshAccessLog", "mesh": mesh.name, "name": "logs", "spec": {"to": to}})

        def both() -> bool:
            assert is_special("/special/offer")
            assert not is_special("/")
            found = {name: set((web.folder / f"{name}.log").read_text().splitlines()) for name in ("all", "special")}
            assert found == {"all": {"echo /"}, "special": {"echo /special/offer"}}
            return True

        network.until("each log has its own requests", both, FLUSHED)
