import re
from pathlib import Path

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry

from kuma.base import errors
from kuma.resources import catalog, kind
from kuma.resources import resource as res
from kuma.services import measured_store, metrics
from kuma.store import memory

ROOT = Path(__file__).parents[3]
CODES = ("200", "500", "503")


class ThingSpec(kind.Spec, frozen=True):
    text: str = ""


THING = kind.Kind("Thing", "things", kind.Scope.MESH, ThingSpec)


@pytest.fixture
def registry() -> CollectorRegistry:
    return prometheus_client.CollectorRegistry()


def sampled(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"zone": "z", **labels})


def test_two_control_planes_in_one_process_do_not_share_counts(registry: CollectorRegistry) -> None:
    one, other = metrics.Metrics(registry, "z"), metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
    one.refused("rest", "too large")
    assert (one.refusals("rest", "too large"), other.refusals("rest", "too large")) == (1, 0)


def test_requests_are_counted_by_their_answer(registry: CollectorRegistry) -> None:
    measured = metrics.Metrics(registry, "z")
    where = {"handler": "/meshes/{mesh}", "service": "api_server"}
    measured.api_server.started("/meshes/{mesh}")
    assert sampled(registry, "api_server_http_requests_inflight", **where) == 1
    measured.api_server.finished("/meshes/{mesh}", "GET", 404, 0.02, 10)
    assert sampled(registry, "api_server_http_requests_inflight", **where) == 0
    answer = {**where, "code": "404", "method": "GET"}
    assert sampled(registry, "api_server_http_request_duration_seconds_count", **answer) == 1
    assert sampled(registry, "api_server_http_response_size_bytes_sum", **answer) == 10


def test_loops_and_generations_are_timed_even_when_they_fail(registry: CollectorRegistry) -> None:
    measured = metrics.Metrics(registry, "z")
    for _ in range(2):
        with pytest.raises(ValueError), measured.loop("dp_gc"):
            raise ValueError
        with pytest.raises(ValueError), measured.generation():
            raise ValueError
    with measured.vip_generation():
        pass
    with pytest.raises(ValueError), measured.vip_generation():
        raise ValueError
    assert (sampled(registry, "vip_generation_count"), sampled(registry, "vip_generation_errors")) == (2, 1)
    assert sampled(registry, "component_dp_gc_count") == 2
    assert sampled(registry, "xds_generation_count") == 2


async def test_a_measured_store_times_writes_and_counts_what_it_holds(registry: CollectorRegistry) -> None:
    measured = metrics.Metrics(registry, "z")
    store = measured_store.MeasuredStore(memory.MemoryStore(), measured)
    watch = store.watch()
    thing = await store.create(res.Resource(THING, res.Meta("m", "t"), ThingSpec("x")))
    assert list(await store.list(THING)) == [await store.get(thing.key)] == [(await anext(watch)).resource]
    assert sampled(registry, "store_count", operation="create", resource_type="Thing") == 1
    await measured_store.count_resources(store, catalog.Catalog([THING]), measured)
    assert sampled(registry, "resources_count", resource_type="Thing", tenant="") == 1
    await store.delete(thing.key)
    assert store.revision() == 2
    await store.close()


async def test_reads_are_counted_as_answered_from_memory(registry: CollectorRegistry) -> None:
    measured = metrics.Metrics(registry, "z")
    store = measured_store.MeasuredStore(memory.MemoryStore(), measured)
    thing = await store.create(res.Resource(THING, res.Meta("m", "t"), ThingSpec("x")))
    await store.get(thing.key)
    await store.list(THING)
    for operation in ("get", "list"):
        labels = {"operation": operation, "resource_type": "Thing", "result": "hit"}
        assert sampled(registry, "store_cache", **labels) == 1


async def test_a_follower_that_falls_behind_is_counted_and_told(registry: CollectorRegistry) -> None:
    measured = metrics.Metrics(registry, "z")
    store = measured_store.MeasuredStore(memory.MemoryStore(window=1), measured)
    assert sampled(registry, "events_dropped") == 0
    follow = store.watch(5)
    with pytest.raises(errors.Conflict):
        await anext(follow)
    assert sampled(registry, "events_dropped") == 1


def test_scrapes_are_counted_by_how_they_end(registry: CollectorRegistry) -> None:
    measured = metrics.Metrics(registry, "z")
    with measured.scrape():
        assert sampled(registry, "promhttp_metric_handler_requests_in_flight") == 1
    with pytest.raises(ValueError), measured.scrape():
        raise ValueError
    assert sampled(registry, "promhttp_metric_handler_requests_in_flight") == 0
    scrapes = {code: sampled(registry, "promhttp_metric_handler_requests_total", code=code) for code in CODES}
    assert scrapes == {"200": 1, "500": 1, "503": 0}


def test_every_metric_is_documented() -> None:
    """Loops appear on their first round, so they are looked for in the sources."""
    registry = prometheus_client.CollectorRegistry()
    metrics.Metrics(registry, "z").describe_control_plane("1", "cp-1", "id")
    served = {each.name for each in registry.collect() if not each.name.startswith(("process_", "python_"))}
    loops = re.compile(r"(?:metrics\.loop|measures\.loop|self\._each)\(\"(\w+)\"")
    sources = (each.read_text() for each in (ROOT / "src").rglob("*.py"))
    served |= {f"component_{name}" for text in sources for name in loops.findall(text)}
    page = (ROOT / "docs" / "metrics.md").read_text().partition("\n## Not there")[0]
    assert set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE)) == served
