"""Which ports are open, and that the end of the data plane port is measured."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterator
from typing import Any

import prometheus_client
import pytest

from kuma.apps.control_plane import ports
from kuma.apps.control_plane.settings import tree as settings
from kuma.services import metrics
from tests.kit import network
from tests.kit import port as kit


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    """An application that nobody asks."""


@dataclasses.dataclass
class World:
    """Three free ports, and what is to listen there."""

    api: int = dataclasses.field(default_factory=network.free_port)
    dp: int = dataclasses.field(default_factory=network.free_port)
    diagnostics: int = dataclasses.field(default_factory=network.free_port)
    events: list[str] = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def closing(self) -> Iterator[None]:
        self.events.append("closing")
        yield
        self.events.append("closed")

    @contextlib.asynccontextmanager
    async def listening(self, dp: ports.DpPort | None) -> AsyncIterator[None]:
        environ = {
            "KUMA_API_SERVER_HTTP_PORT": str(self.api),
            "KUMA_DP_SERVER_PORT": str(self.dp),
            "KUMA_DIAGNOSTICS_SERVER_PORT": str(self.diagnostics),
        }
        parts = ports.Ports(nothing, dp, nothing, None, lambda boundary, reason: None)
        async with ports.listening(parts, settings.load("", environ).settings):
            yield

    async def is_open(self, number: int) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", number)
        except ConnectionRefusedError:
            return False
        writer.close()
        return True


async def test_without_proxies_the_data_plane_port_stays_closed() -> None:
    world = World()
    async with world.listening(None):
        assert await world.is_open(world.api)
        assert await world.is_open(world.diagnostics)
        assert not await world.is_open(world.dp)


async def test_the_end_of_the_data_plane_port_is_told() -> None:
    world = World()
    async with world.listening(ports.DpPort(nothing, {}, kit.server_context(), world.closing)):
        assert await world.is_open(world.dp)
        assert world.events == []
    assert world.events == ["closing", "closed"]
    assert not await world.is_open(world.dp)


def test_the_time_of_that_end_is_a_metric() -> None:
    measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
    ends = "dp_server_shutdown_duration_seconds_count"
    assert measured.registry.get_sample_value(ends, {"zone": "z"}) == 0
    with pytest.raises(ValueError), measured.dp_server_shutdown():
        raise ValueError
    assert measured.registry.get_sample_value(ends, {"zone": "z"}) == 1
