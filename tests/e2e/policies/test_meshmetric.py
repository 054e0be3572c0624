"""Metrics of Envoy and of an application, read by Prometheus through the proxy and sent to a collector through it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import meshes, network, planes, receivers, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshmetric")]

SHOP = "# TYPE shop_orders_total counter\nshop_orders_total 7\n"


class Cast:
    """A client `web` and the service `echo`."""

    def __init__(self, mesh: meshes.Mesh) -> None:
        self.mesh = mesh
        self.web, self.server = mesh.pair(DATAPLANE_RUNTIME_OTEL_PIPE_ENABLED="false")

    def write(self, **conf: Any) -> None:
        document = {"type": "MeshMetric", "mesh": self.mesh.name, "name": "row", "spec": {"default": conf}}
        self.mesh.plane.put(document)


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[Cast]:
    with meshes.mesh(shared_plane) as mesh:
        yield Cast(mesh)


def scraped(proxy: sidecars.Sidecar, port: int, path: str) -> list[str]:
    answer = traffic.get((proxy.address, port), path)
    assert answer.status == 200, answer.text
    return answer.text.splitlines()


def series(lines: list[str], name: str) -> dict[str, str]:
    """The labels of the only series of a metric, and its value as `value`."""
    (line,) = (each for each in lines if each.startswith(f"{name}{{"))
    labels, _, value = line.removeprefix(f"{name}{{").rpartition("} ")
    return {**dict(re.findall(r'(\w+)="([^"]*)"', labels)), "value": value}


def test_prometheus_reads_proxy_and_application(cast: Cast) -> None:
    port = network.free_port(cast.web.address)
    with receivers.metrics(SHOP) as application:
        cast.write(
            applications=[{"name": "shop", "port": application, "address": "127.0.0.1"}],
            backends=[{"type": "Prometheus", "prometheus": {"port": port, "path": "/scrape", "clientId": "main"}}],
            sidecar={
                "profiles": {
                    "appendProfiles": [{"name": "Basic"}],
                    "exclude": [{"type": "Prefix", "match": "envoy_http"}],
                }
            },
        )
        lines = network.until("both answer", lambda: _with(scraped(cast.web, port, "/scrape"), "shop_orders_total"))
    found = series(lines, "shop_orders_total")
    wanted = {"mesh": cast.mesh.name, "dataplane": "web", "service": "web", "kuma_proxy_role": "sidecar", "value": "7"}
    assert wanted.items() <= found.items()
    assert found["kuma_io_service"] == "web"
    assert series(lines, "envoy_server_live")["value"] == "1"
    assert not [each for each in lines if each.startswith("envoy_http")]
    assert network.until("the other proxy, too", lambda: scraped(cast.server, port, "/scrape"))


def _with(lines: list[str], name: str) -> list[str]:
    return lines if any(each.startswith(name) for each in lines) else []


def test_a_collector_gets_them_through_envoy(cast: Cast) -> None:
    """Where the agent does not hand telemetry on; test_meshopentelemetrybackend.py has the other way."""
    with receivers.otlp() as collector, receivers.metrics(SHOP) as application:
        backend = {
            "type": "MeshOpenTelemetryBackend",
            "mesh": cast.mesh.name,
            "name": "main",
            "labels": {"kind": "metrics"},
            "spec": {"endpoint": {"address": "127.0.0.1", "port": collector.port}},
        }
        cast.mesh.plane.put(backend)
        reference = {"kind": "MeshOpenTelemetryBackend", "labels": {"kind": "metrics"}}
        cast.write(
            applications=[{"port": application, "address": "127.0.0.1"}],
            backends=[{"type": "OpenTelemetry", "openTelemetry": {"backendRef": reference, "refreshInterval": "1s"}}],
        )
        wanted = {"shop_orders_total", "envoy_server_live"}
        network.until("the collector has both", lambda: wanted <= collector.metrics)
        cast.mesh.plane.delete(backend)
        network.until(
            "the way to it is gone", lambda: "_kuma:metrics:opentelemetry:main::" not in cast.web.admin("/listeners")[1]
        )
