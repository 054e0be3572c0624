"""Where applications are asked for metrics, from where, and how long that may take."""

import asyncio
import logging

import pytest

from kuma.apps.dataplane.metrics.config import Application, Metrics
from kuma.apps.dataplane.metrics.scraping import DEFAULT_SECONDS, Scraper, Target, seconds_for
from kuma.apps.dataplane.metrics.source import Source
from kuma.apps.dataplane.supervised.envoy import Admin


@pytest.mark.parametrize(
    ("target", "url"),
    [
        (Target("a", "10.0.0.1", 80, "/metrics"), "http://10.0.0.1:80/metrics"),
        (Target("a", "::1", 8080, "metrics?x=1"), "http://[::1]:8080/metrics?x=1"),
        (Target("a", "app.local", 1, ""), "http://app.local:1/"),
    ],
)
def test_urls(target: Target, url: str) -> None:
    assert target.url == url


@pytest.mark.parametrize(
    ("said", "seconds"), [("10", 9.0), ("0.01", 0.1), ("3600", 60.0), ("", DEFAULT_SECONDS), ("soon", DEFAULT_SECONDS)]
)
def test_patience_of_the_reader(said: str, seconds: float) -> None:
    assert seconds_for({"x-prometheus-scrape-timeout-seconds": said}) == seconds
    assert seconds_for({}) == DEFAULT_SECONDS


@pytest.mark.parametrize(("is_redirected", "source"), [(False, "127.0.0.1"), (True, "127.0.0.6")])
async def test_under_a_transparent_proxy_the_address_says_who_asks(is_redirected: bool, source: str) -> None:
    peers: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\na 1\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        envoy, others = await Scraper(Admin(), is_redirected).scrape("", [Target("a", "127.0.0.1", port, "/")], {}, 10)

    assert envoy is None
    assert [(each.body, each.content_type) for each in others] == [(b"a 1\n", "text/plain")]
    assert peers == [source]


@pytest.mark.parametrize(("address", "port"), [("127.0.0.1", 70_000), ("a" * 70, 80), ("\n", 80), ("", 0)])
async def test_an_address_that_is_none_costs_one_application(address: str, port: int) -> None:
    assert await Scraper(Admin(), False).scrape("", [Target("a", address, port, "/")], {}, 10) == (None, [])


async def test_the_trouble_of_an_application_that_is_gone_is_forgotten(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    source = Source(Scraper(Admin(), False), "127.0.0.1", [])
    broken = Metrics(applications=(Application(port=0, name="broken"), Application(port=0, name="stays")))
    fewer = Metrics(applications=(Application(port=0, name="stays"),))
    for wanted in (broken, broken, fewer, broken):
        source.configure(wanted)
        await source.scrape({}, 10)
    said = [name for each in caplog.messages for name in ("envoy", "broken", "stays") if f"metrics of {name}" in each]
    assert said == ["envoy", "broken", "stays", "broken"]
