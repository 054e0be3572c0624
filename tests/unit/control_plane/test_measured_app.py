"""What is measured of an HTTP application."""

import prometheus_client
import pytest

from kuma.apps.control_plane import measured_app
from kuma.services import metrics
from tests.kit import api as kit
from tests.kit import asgi


def sample(measured: metrics.Metrics, name: str, **labels: str) -> float | None:
    own = {"service": "api_server", "zone": "z", **labels}
    return measured.registry.get_sample_value(name, own)


@pytest.mark.parametrize(
    ("path", "route", "code"),
    [("/meshes/none", "/meshes/{name}", "404"), ("/meshes", "/meshes", "200"), ("/made/up/by/strangers", "", "404")],
)
async def test_answers_are_counted_by_route_and_status(path: str, route: str, code: str) -> None:
    measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
    api = kit.build()
    app = measured_app.MeasuredApp(api.app, measured.api_server, api.app.route_of)
    answer = await asgi.call(app, "GET", path, headers=kit.LOCAL)
    labels = {"handler": route, "method": "GET", "code": code}
    assert sample(measured, "api_server_http_request_duration_seconds_count", **labels) == 1
    assert sample(measured, "api_server_http_response_size_bytes_sum", **labels) == len(answer.body)
    assert sample(measured, "api_server_http_requests_inflight", handler=route) == 0


async def test_methods_that_strangers_make_up_are_one_series() -> None:
    measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
    api = kit.build()
    app = measured_app.MeasuredApp(api.app, measured.api_server, api.app.route_of)
    for method in ("BREW", "WHEN"):
        await asgi.call(app, method, "/meshes", headers=kit.LOCAL)
    labels = {"handler": "/meshes", "method": "other", "code": "405"}
    assert sample(measured, "api_server_http_request_duration_seconds_count", **labels) == 2
