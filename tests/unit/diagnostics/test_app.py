import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import prometheus_client
import pytest

from kuma.base import errors
from kuma.servers.diagnostics import app
from kuma.services import metrics


class Levels:
    def __init__(self) -> None:
        self.held: dict[str, str] = {}

    def overrides(self) -> Mapping[str, str]:
        return self.held

    def set(self, component: str, level: str) -> None:
        if level not in ("off", "info", "debug"):
            raise errors.BadRequest(f'unknown log level "{level}"')
        self.held[component] = level

    def reset(self, component: str) -> None:
        self.held.pop(component, None)

    def reset_all(self) -> Mapping[str, str]:
        were, self.held = self.held, {}
        return were


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    text: str


class Server:
    def __init__(self, debug: bool = False) -> None:
        self.ready = True
        self.scrapes = 0
        self.registry = prometheus_client.CollectorRegistry()
        self.levels = Levels()
        self.app = app.build(
            app.Dependencies(lambda: self.ready, self.registry, self.levels, self.count, debug_endpoints=debug)
        )

    async def count(self) -> None:
        self.scrapes += 1

    async def call(self, method: str, path: str, body: Any = b"") -> Answer:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": raw, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {key.decode().lower(): value.decode() for key, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent).decode())


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
async def test_health_and_readiness_answer_any_method_with_an_empty_body(server: Server, method: str) -> None:
    assert (await server.call(method, "/healthy"))[::2] == (200, "")
    assert (await server.call(method, "/ready"))[::2] == (200, "")
    server.ready = False
    assert (await server.call(method, "/healthy"))[::2] == (200, "")
    assert (await server.call(method, "/ready"))[::2] == (503, "")


async def test_levels_are_set_shown_and_reset(server: Server) -> None:
    assert (await server.call("PUT", "/logging", {"component": "xds", "level": "debug"}))[::2] == (200, "")
    await server.call("PUT", "/logging", {"component": "rest.api", "level": "off"})
    answer = await server.call("GET", "/logging")
    assert (answer.status, json.loads(answer.text)) == (200, {"components": {"rest.api": "off", "xds": "debug"}})
    assert (await server.call("DELETE", "/logging/rest.api"))[::2] == (200, "")
    assert (await server.call("DELETE", "/logging/never-set"))[::2] == (200, "")
    assert json.loads((await server.call("DELETE", "/logging")).text) == {"components": {"xds": "debug"}}
    assert json.loads((await server.call("GET", "/logging")).text) == {"components": {}}


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"{", 400, "invalid request body"),
        (b"[]", 400, "invalid request body"),
        ({"component": 1, "level": "info"}, 400, "invalid request body"),
        ({"component": "x", "level": "info", "pad": "p" * 4096}, 400, "invalid request body"),
        ({"level": "info"}, 400, "component name must not be empty"),
        ({"component": "x", "level": "loud"}, 400, 'invalid log level: unknown log level "loud"'),
    ],
)
async def test_bad_level_requests_are_refused_in_plain_text(server: Server, body: Any, status: int, text: str) -> None:
    answer = await server.call("PUT", "/logging", body)
    assert (answer.status, answer.text.strip()) == (status, text)
    assert answer.headers["content-type"].startswith("text/plain")
    assert server.levels.held == {}


async def test_only_so_many_components_can_have_a_level(server: Server) -> None:
    server.levels.held = {f"c{n}": "info" for n in range(app.MAX_COMPONENTS)}
    assert (await server.call("PUT", "/logging", {"component": "one-more", "level": "info"})).status == 429
    assert (await server.call("PUT", "/logging", {"component": "c1", "level": "debug"})).status == 200


async def test_wrong_methods_and_paths(server: Server) -> None:
    assert (await server.call("POST", "/logging"))[::2] == (405, "method not allowed\n")
    assert (await server.call("PUT", "/logging/xds"))[::2] == (405, "method not allowed\n")
    assert (await server.call("GET", "/nothing"))[::2] == (404, "404 page not found\n")
    assert (await server.call("GET", "/debug/tasks")).status == 404


async def test_tasks_are_shown_only_with_debug_endpoints() -> None:
    answer = await Server(debug=True).call("GET", "/debug/tasks")
    assert answer.status == 200
    assert "test_tasks_are_shown" in answer.text


async def test_metrics_are_counted_before_the_scrape_and_keep_kumas_names(server: Server) -> None:
    measured = metrics.Metrics(server.registry, "zone-1")
    measured.generation_failed()
    measured.refused("rest", 'too "large"\n')
    with measured.xds.stream(), measured.generation():
        answer = await server.call("GET", "/metrics")
    assert server.scrapes == 1
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert "# TYPE xds_generation_errors counter" in lines
    assert 'xds_generation_errors{zone="zone-1"} 1' in lines
    assert 'kuma_refused_inputs_total{boundary="rest",reason="too \\"large\\"\\n",zone="zone-1"} 1' in lines
    assert 'xds_streams_active{zone="zone-1"} 1' in lines
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)
    assert not [line for line in lines if "_created" in line]


async def test_a_scrape_that_fails_is_counted_as_one(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = metrics.Metrics(server.registry, "z")

    async def away() -> None:
        raise errors.Unavailable("the store is away")

    deps = app.Dependencies(lambda: True, server.registry, server.levels, away, scraping=measured.scrape)
    monkeypatch.setattr(server, "app", app.build(deps))
    with pytest.raises(errors.Unavailable):
        await server.call("GET", "/metrics")
    name = "promhttp_metric_handler_requests_total"
    assert server.registry.get_sample_value(name, {"code": "500", "zone": "z"}) == 1
