"""Spans of both sides of a call arrive at collectors, with the tags that were asked for."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, planes, receivers, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshtrace")]


class Cast:
    """A client `web` and the service `echo`."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        self.web, _ = mesh.pair()

    def write(self, backend: dict[str, Any], **conf: Any) -> None:
        spec = {"default": {"backends": [backend], **conf}}
        self.mesh.plane.put({"type": "MeshTrace", "mesh": self.mesh.name, "name": "row", "spec": spec})

    def until(self, what: str, condition: Any) -> None:
        """Calls until something has arrived; Envoy sends spans every five seconds."""

        def called() -> Any:
            answer = traffic.get(self.web.url("echo"), **{"x-env": "test"})
            assert answer.status == 200
            return condition()

        network.until(what, called, 30.0)


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[Cast]:
    with meshes.mesh(shared_plane) as mesh:
        yield Cast(mesh)


def test_zipkin(cast: Cast) -> None:
    tags = [
        {"name": "team", "literal": "core"},
        {"name": "env", "header": {"name": "x-env", "default": "prod"}},
        {"name": "size", "header": {"name": "x-size", "default": "small"}},
    ]
    with receivers.zipkin() as collector:
        url = f"http://127.0.0.1:{collector.port}/api/v2/spans"
        cast.write({"type": "Zipkin", "zipkin": {"url": url, "sharedSpanContext": False}}, tags=tags)

        def both() -> bool:
            return {each["kind"] for each in collector.spans} == {"CLIENT", "SERVER"}

        cast.until("spans of both sides", both)
        assert collector.paths == {"/api/v2/spans"}
        for kind in ("CLIENT", "SERVER"):
            found = next(each["tags"] for each in collector.spans if each["kind"] == kind)
            wanted = {"team": "core", "env": "test", "size": "small", "kuma.mesh": cast.mesh.name}
            assert wanted.items() <= found.items()


def test_opentelemetry(cast: Cast) -> None:
    with receivers.otlp() as collector:
        backend = {"type": "OpenTelemetry", "openTelemetry": {"endpoint": f"127.0.0.1:{collector.port}"}}
        cast.write(backend, sampling={"random": "100.0"})

        def services() -> set[str]:
            return {resource["service.name"] for resource, _, _ in collector.spans}

        cast.until("spans of both proxies", lambda: services() == {"web", "echo"})
        assert all(tags["kuma.mesh"] == cast.mesh.name for _, _, tags in collector.spans)


def test_nothing_is_traced_without_a_backend(cast: Cast) -> None:
    with receivers.zipkin() as collector:
        url = f"http://127.0.0.1:{collector.port}/spans"
        cast.write({"type": "Zipkin", "zipkin": {"url": url}}, sampling={"overall": 0})
        cast.web.until_told('"overall_sampling": {}')
        before = cast.web.stat("http.outbound_echo.tracing.random_sampling")
        for _ in range(20):
            assert traffic.status(cast.web.url("echo")) == 200
        assert cast.web.stat("http.outbound_echo.tracing.random_sampling") == before
        assert collector.spans == []
