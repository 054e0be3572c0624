"""What a client can make the API hold is bounded, and its defects stay its own."""

import asyncio
from typing import Any

import structlog

from kuma.servers.rest import app
from kuma.servers.rest.messages import intake
from tests.kit import api as kit

SCOPE = {
    "type": "http",
    "method": "PUT",
    "scheme": "http",
    "path": "/meshes/shop",
    "query_string": b"",
    "client": ("127.0.0.1", 1),
}


def scope(**headers: str) -> dict[str, Any]:
    given = {"host": "127.0.0.1", "content-type": "application/json", **headers}
    return {**SCOPE, "headers": [(key.replace("_", "-").encode(), value.encode()) for key, value in given.items()]}


class Client:
    """Sends parts of a body, then what comes after (nothing, for ever, by default)."""

    def __init__(self, *parts: bytes, then: dict[str, Any] | None = None) -> None:
        self.parts = list(parts)
        self.then = then
        self.taken = 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        if self.parts:
            self.taken += 1
            return {"type": "http.request", "body": self.parts.pop(0), "more_body": True}
        if self.then is None:
            await asyncio.Event().wait()
        assert self.then is not None
        return self.then

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int | None:
        return self.sent[0]["status"] if self.sent else None


END = {"type": "http.request", "body": b"", "more_body": False}


async def test_a_declared_body_that_is_too_large_is_not_read() -> None:
    client = Client(then=END)
    await kit.build().app(scope(content_length=str(intake.MAX_BODY + 1)), client.receive, client.send)
    assert (client.status, client.taken) == (413, 0)
    assert (b"connection", b"close") in client.sent[0]["headers"]


async def test_a_body_in_pieces_is_cut_off_where_it_grows_too_large() -> None:
    client = Client(*[b" " * 1_000_000] * 10, then=END)
    await kit.build().app(scope(transfer_encoding="chunked"), client.receive, client.send)
    assert (client.status, client.taken) == (413, 5)


async def test_the_largest_body_is_read() -> None:
    document = b'{"type": "Mesh", "name": "shop"}'
    client = Client(document + b" " * (intake.MAX_BODY - len(document)), then=END)
    await kit.build().app(scope(), client.receive, client.send)
    assert client.status == 201


async def test_a_body_that_does_not_come_is_given_up() -> None:
    api = kit.build(settings=app.Settings(read_timeout=0.01))
    client = Client(b"{")
    await api.app(scope(), client.receive, client.send)
    assert client.status == 408
    assert (b"connection", b"close") in client.sent[0]["headers"]


async def test_nobody_is_answered_who_has_left() -> None:
    client = Client(b"{", then={"type": "http.disconnect"})
    await kit.build().app(scope(), client.receive, client.send)
    assert client.sent == []


async def test_a_client_that_stops_reading_is_given_up() -> None:
    api = kit.build(settings=app.Settings(write_timeout=0.01))
    client = Client(then=END)
    stuck = asyncio.Event()
    started: list[Any] = []

    async def send(message: Any) -> None:
        started.append(message)
        await stuck.wait()

    async with asyncio.timeout(5):
        await api.app({**scope(), "method": "GET"}, client.receive, send)
    assert [each["type"] for each in started] == ["http.response.start"]


async def test_long_answers_go_in_pieces() -> None:
    api = kit.build()
    for index in range(600):
        await api.load({"type": "Mesh", "name": f"mesh-{index:03}"})
    client = Client(then=END)
    wanted = {**scope(), "method": "GET", "path": "/meshes", "query_string": b"size=1000"}
    await api.app(wanted, client.receive, client.send)
    bodies = [each["body"] for each in client.sent if each["type"] == "http.response.body"]
    assert max(map(len, bodies)) <= 64 * 1024
    declared = dict(client.sent[0]["headers"])[b"content-length"]
    assert int(declared) == sum(map(len, bodies)) > 64 * 1024


async def test_a_defect_is_not_shown() -> None:
    api = kit.build()

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    api.manager.list = broken  # type: ignore[method-assign, assignment]
    with structlog.testing.capture_logs() as logged:
        answer = await api.call("GET", "/meshes")
    assert answer.status == 500
    assert "Internal Server Error" in answer.text
    assert "secret" not in answer.text
    (line,) = logged
    assert (line["error"], line["route"]) == ("ZeroDivisionError", "/meshes")
    assert "in broken" in line["places"]
    assert "detail" not in str({**line, "places": ""})


async def test_a_base_path_moves_all_but_user_tokens() -> None:
    api = kit.build(settings=app.Settings(base_path="/api"))
    await api.defaults.ensure_started()
    assert (await api.call("GET", "/api/meshes")).status == 200
    assert (await api.call("GET", "/api")).status == 200
    assert (await api.call("GET", "/meshes")).status == 404
    assert (await api.call("POST", "/tokens/user", {"name": "a", "validFor": "1h"})).status == 200
