"""Scrapes over the agent's socket: what Prometheus reads through Envoy."""

import gzip
import logging
import os
import stat
from pathlib import Path

import pytest

from kuma.apps.dataplane.metrics import combining
from kuma.apps.dataplane.metrics.scraping import Target
from tests.unit.dataplane import servers
from tests.unit.dataplane.metrics.conftest import Envoy, config, metering

APP = b"# TYPE rq counter\nrq 7\n"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def test_what_a_mesh_metric_promises(envoy: Envoy, tmp_path: Path) -> None:
    async with servers.answering(servers.http(200, APP)) as app, metering(envoy, tmp_path) as reader:
        applications = [{"name": "app", "path": "/metrics", "port": app.port, "address": ""}]
        reader.meters.take(config(applications=applications, extraLabels={"kuma.proxy_role": "sidecar", "mesh": "m"}))
        answer = await reader.ask("/meshmetric?x=1", x_prometheus_scrape_timeout_seconds="5", cookie="secret")

    labels = 'kuma_proxy_role="sidecar",mesh="m"'
    name = "envoy_cluster_upstream_rq_total"
    assert answer.body.decode() == (
        f"# TYPE {name} counter\n"
        f'{name}{{envoy_cluster_name="web-0123456789abcdef",{labels}}} 5\n'
        f'{name}{{envoy_cluster_name="web-fedcba9876543210",{labels}}} 6\n'
        f"# TYPE rq counter\nrq{{{labels}}} 7\n# TYPE own gauge\nown{{{labels}}} 1\n"
    )
    assert answer.headers["content-type"] == combining.TEXT
    assert envoy.asked == ["/stats?format=prometheus&text_readouts=&usedonly="]
    assert b"x-prometheus-scrape-timeout-seconds: 5" in app.requests[0]
    assert b"secret" not in app.requests[0]
    assert app.requests[0].startswith(b"GET /metrics HTTP/1.1")


async def test_unused_metrics_are_asked_for_where_they_are_wanted(envoy: Envoy, tmp_path: Path) -> None:
    async with metering(envoy, tmp_path) as reader:
        reader.meters.take(config(sidecar={"includeUnused": True, "profiles": {"appendProfiles": [{"name": "All"}]}}))
        answer = await reader.ask("/meshmetric")
    assert envoy.asked == ["/stats?format=prometheus&text_readouts="]
    assert "envoy_cluster_assignment_stale" in answer.text


async def test_without_a_mesh_metric_there_is_nothing_to_read(envoy: Envoy, tmp_path: Path) -> None:
    async with metering(envoy, tmp_path) as reader:
        assert (await reader.ask("/meshmetric")).status == 503
        reader.meters.take(config())
        assert (await reader.ask("/meshmetric")).status == 200
        reader.meters.take(None)
        assert (await reader.ask("/meshmetric")).status == 503


async def test_a_broken_source_costs_its_own_metrics_and_one_line(
    envoy: Envoy, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    broken, closed = servers.answering(servers.http(500)), servers.answering(b"")
    async with (
        servers.answering(servers.http(200, APP)) as app,
        broken as failing,
        closed as silent,
        metering(envoy, tmp_path) as reader,
    ):
        applications = [{"name": "", "path": "/", "port": each.port} for each in (failing, app, silent)]
        reader.meters.take(config(applications=applications))
        envoy.status = 503
        answers = [await reader.ask("/meshmetric") for _ in range(2)]

    assert {each.text for each in answers} == {"# TYPE rq counter\nrq 7\n# TYPE own gauge\nown 1"}
    said = [each.message for each in caplog.records if each.levelno == logging.WARNING]
    assert (
        sorted(said)[0] == f"no metrics of application at http://127.0.0.1:{failing.port}/: status 500"
        or len(said) == 3
    )
    assert len(said) == 3
    assert "no metrics of envoy: status 503" in said


async def test_a_slow_source_does_not_hold_up_the_answer(envoy: Envoy, tmp_path: Path) -> None:
    envoy.holds = True
    async with metering(envoy, tmp_path) as reader:
        reader.meters.take(config())
        answer = await reader.ask("/meshmetric", x_prometheus_scrape_timeout_seconds="0.2")
    assert answer.text == "# TYPE own gauge\nown 1"


async def test_what_the_prometheus_backend_of_a_mesh_promises(envoy: Envoy, tmp_path: Path) -> None:
    body = b"# TYPE rq counter\n\nrq_total 7\n# EOF\n"
    async with servers.answering(servers.http(200, body, OPEN_METRICS)) as app:
        targets = [Target("app", "127.0.0.1", app.port, "custom")]
        async with metering(envoy, tmp_path, targets) as reader:
            answer = await reader.ask("/metrics?filter=a&usedonly", accept="text/plain")

    mark = 'kuma_io_mesh_traffic="true"'
    assert answer.body.decode() == (
        "# TYPE rq counter\nrq_total 7\n# TYPE envoy_cluster_upstream_rq_total counter\n"
        f'envoy_cluster_upstream_rq_total{{envoy_cluster_name="web",{mark}}} 11\n'
        'envoy_cluster_upstream_rq_total{envoy_cluster_name="ads_cluster"} 1\n'
        "# TYPE envoy_cluster_assignment_stale counter\n"
        f'envoy_cluster_assignment_stale{{envoy_cluster_name="web",{mark}}} 3\n# EOF\n'
    )
    assert answer.headers["content-type"] == OPEN_METRICS
    assert envoy.asked == ["/stats?filter=a&usedonly=&format=prometheus&text_readouts="]
    assert app.requests[0].startswith(b"GET /custom HTTP/1.1")


async def test_large_answers_are_compressed_for_who_can_read_that(envoy: Envoy, tmp_path: Path) -> None:
    app_metrics = b"".join(b'a{x="%d"} 1\n' % each for each in range(1000))
    async with servers.answering(servers.http(200, app_metrics)) as app, metering(envoy, tmp_path) as reader:
        reader.meters.take(config(applications=[{"port": app.port}]))
        plain = await reader.ask("/meshmetric")
        squeezed = await reader.ask("/meshmetric", accept_encoding="gzip")
    assert squeezed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(squeezed.body) == plain.body
    assert len(squeezed.body) < len(plain.body) / 4


async def test_the_socket_is_ours_alone_and_goes_with_us(envoy: Envoy, tmp_path: Path) -> None:
    async with metering(envoy, tmp_path) as reader:
        assert stat.S_IMODE(os.stat(reader.socket).st_mode) == 0o600
        assert (await reader.ask("/metrics", "POST")).status == 405
    with pytest.raises(FileNotFoundError):
        os.stat(reader.socket)
