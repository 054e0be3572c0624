"""Logs, spans and metrics of a proxy reach the collector of a MeshOpenTelemetryBackend through the agent."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, planes, receivers, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshopentelemetrybackend")]

KIND = "MeshOpenTelemetryBackend"
REFERENCE = {"backendRef": {"kind": KIND, "labels": {"for": "all"}}}
FLUSHED = 30.0
"""Seconds: Envoy sends spans every five."""

SECRET = "let me in"
VARIABLES = {
    "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{SECRET.replace(' ', '%20')}",
    "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION": "gzip",
}


class Cast:
    """A client `web`, whose agent has variables about collectors, and the service `echo`."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        app = mesh.echo("http")
        server = mesh.sidecar("echo", inbounds={"echo": app.inbound}).launch()
        self.web = mesh.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",), variables=VARIABLES).start()
        server.ready()
        self.policy("MeshTrace", default={"backends": [self.otlp()], "sampling": {"random": "100.0"}})
        log = self.otlp(body="%REQ(:PATH)%")
        self.policy("MeshAccessLog", to=[{"targetRef": {"kind": "Mesh"}, "default": {"backends": [log]}}])
        self.policy("MeshMetric", default={"backends": [self.otlp(refreshInterval="1s")]})

    @staticmethod
    def otlp(**more: Any) -> dict[str, Any]:
        return {"type": "OpenTelemetry", "openTelemetry": {**REFERENCE, **more}}

    def policy(self, kind: str, **spec: Any) -> None:
        self.mesh.plane.put({"type": kind, "mesh": self.mesh.name, "name": "all", "spec": spec})

    def backend(self, port: int, **spec: Any) -> dict[str, Any]:
        """Writes the backend that the policies point at."""
        made = {"type": KIND, "mesh": self.mesh.name, "name": "main", "labels": {"for": "all"}}
        made["spec"] = {"endpoint": {"address": "127.0.0.1", "port": port}, **spec}
        self.mesh.plane.put(made)
        return made

    def call(self, path: str) -> None:
        assert traffic.get(self.web.url("echo"), path).status == 200


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[Cast]:
    with meshes.mesh(shared_plane) as mesh:
        yield Cast(mesh)


def arrives(cast: Cast, collector: receivers.Otlp, path: str) -> bool:
    cast.call(path)
    assert path in {body for _, body, _ in collector.logs}
    assert "web" in {resource["service.name"] for resource, _, _ in collector.spans}
    assert "envoy_server_live" in collector.metrics
    return True


def piped(proxy: sidecars.Sidecar) -> set[str]:
    """The clusters of a proxy that lead to the agent's socket for the backend."""
    lines = proxy.admin("/clusters")[1].splitlines()
    return {each.partition("::")[0] for each in lines if "kuma-otel-main.sock::" in each}


def states(cast: Cast, proxy: str) -> dict[str, Any]:
    """What the insight of a proxy says of the backend."""
    told = cast.mesh.plane.insight(cast.mesh.name, proxy).get("openTelemetry", {"backends": [{}]})
    (found,) = told["backends"]
    return dict(found)


def test_all_signals_over_grpc(cast: Cast) -> None:
    with receivers.otlp() as collector:
        cast.backend(collector.port)
        network.until("all signals", lambda: arrives(cast, collector, "/grpc"), FLUSHED)
        assert piped(cast.web) == {"meshaccesslog:opentelemetry:0", "meshtrace:opentelemetry"}
        assert (cast.web.folder / "kuma-otel-main.sock").stat().st_mode & 0o777 == 0o600
        assert {states(cast, each)["logs"]["state"] for each in ("web", "echo")} == {"ready"}

        def is_referenced() -> bool:
            found = cast.mesh.plane.get(f"/meshes/{cast.mesh.name}/meshopentelemetrybackends/main")
            (condition,) = found["status"]["conditions"]
            assert (condition["type"], condition["reason"]) == ("ReferencedByPolicies", "Referenced")
            return "Referenced by 3 " in condition["message"]

        network.until("the backend is referenced", is_referenced)


def test_all_signals_over_http_with_the_headers_of_the_environment(cast: Cast) -> None:
    with receivers.otlp_http() as collector:
        endpoint = {"address": "127.0.0.1", "port": collector.port, "path": "/base"}
        cast.backend(collector.port, endpoint=endpoint, protocol="http")
        network.until("all signals", lambda: arrives(cast, collector, "/http"), FLUSHED)

        def own() -> dict[str, dict[str, str]]:
            """What came from web, by path."""
            return {path: each for path, each in collector.heads if each.get("authorization") == f"Bearer {SECRET}"}

        wanted = {f"/base/v1/{each}" for each in ("traces", "logs", "metrics")}
        network.until("all signals of web", lambda: own().keys() == wanted)
        assert [path for path, each in own().items() if "content-encoding" in each] == ["/base/v1/logs"]
        assert SECRET not in cast.web.output
        assert SECRET not in cast.web.admin("/config_dump")[1]


def test_no_line_is_lost_while_the_collector_is_away_for_a_while(cast: Cast) -> None:
    port = network.free_port()
    cast.backend(port)
    network.until("the agent knows the collector", lambda: f"127.0.0.1', {port}" in cast.web.output, FLUSHED)
    early = [f"/early/{number}" for number in range(50)]
    for path in early:
        cast.call(path)
    with receivers.otlp(port) as collector:
        late = [f"/late/{number}" for number in range(50)]
        for path in late:
            cast.call(path)
        wanted = {*early, *late}
        network.until("every line", lambda: wanted <= {body for _, body, _ in collector.logs}, FLUSHED)


def test_a_backend_that_needs_variables_blocks_what_lacks_them(cast: Cast) -> None:
    with receivers.otlp() as collector:
        cast.backend(collector.port, env={"mode": "Required"})
        missing = {"enabled": True, "envAllowed": True, "state": "missing", "blockedReasons": ["RequiredEnvMissing"]}
        network.until("echo lacks them", lambda: states(cast, "echo")["traces"] == missing)
        assert states(cast, "echo").keys() == {"name", "traces", "logs", "metrics"}
        ready = {"enabled": True, "envAllowed": True, "envInputPresent": True, "state": "ready"}
        assert states(cast, "web")["traces"] == ready
        assert states(cast, "web")["logs"] == ready | {"overrideKinds": ["compression"]}
        network.until("all signals of web", lambda: arrives(cast, collector, "/required"), FLUSHED)
        assert "echo" not in {resource["service.name"] for resource, _, _ in collector.spans}


def test_what_is_written_right_before_the_end_arrives(cast: Cast) -> None:
    with receivers.otlp() as collector:
        cast.backend(collector.port)
        late = cast.mesh.sidecar("late", inbounds={"late": (1, "http")}, outbounds=("echo",)).start()
        network.until("late has its log", lambda: _is_logged(late, collector, "/begin"), FLUSHED)
        wanted = {f"/end/{number}" for number in range(20)}
        for path in sorted(wanted):
            assert traffic.get(late.url("echo"), path).status == 200
        assert late.program is not None
        assert late.program.end() == 0
        assert wanted <= {body for _, body, _ in collector.logs}


def _is_logged(proxy: sidecars.Sidecar, collector: receivers.Otlp, path: str) -> bool:
    assert traffic.get(proxy.url("echo"), path).status == 200
    return path in {body for _, body, _ in collector.logs}
