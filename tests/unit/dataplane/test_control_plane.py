"""What the agent makes of the control plane's answers: done, try again, or give up with a reason."""

import asyncio
import base64
import json
import logging
from typing import Any

import pytest

from kuma.apps.dataplane import control_plane
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import trust
from kuma.apps.dataplane.metrics.scraping import Target
from kuma.base import durations
from tests.unit.dataplane.servers import answering, http

ENVELOPE = json.dumps(
    {
        "bootstrap": base64.b64encode(b"node: {}").decode(),
        "kumaSidecarConfiguration": {
            "networking": {"address": "192.168.0.1"},
            "metrics": {"aggregate": [{"name": "app", "address": "10.0.0.1", "port": 8080, "path": "/m"}]},
        },
    }
).encode()
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


def client(port: int, limit: int = 0) -> control_plane.ControlPlane:
    url = f"http://127.0.0.1:{port}"
    return control_plane.ControlPlane(url, trust.Trust(), url, durations.MILLISECOND, limit)


async def ask(port: int) -> control_plane.Bootstrap:
    return await client(port).ask_bootstrap({"name": "web-1"})


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    caplog.set_level(logging.INFO, logger="kuma-dp")
    return caplog


async def test_the_envelope_is_opened() -> None:
    async with answering(http(200, ENVELOPE, "application/json")) as server:
        got = await ask(server.port)

    assert got == control_plane.Bootstrap(b"node: {}", "192.168.0.1", (Target("app", "10.0.0.1", 8080, "/m"),))
    assert b"accept: application/json\r\n" in server.requests[0]
    assert b"authorization" not in server.requests[0]


async def test_what_is_wrong_with_the_definition_is_passed_on(said: pytest.LogCaptureFixture) -> None:
    warned = json.dumps({**json.loads(ENVELOPE), "warnings": ['unknown field "x" was ignored']}).encode()
    async with answering(http(200, warned, "application/json")) as server:
        assert (await ask(server.port)).config == b"node: {}"
    assert said.messages == ['the definition of this proxy: unknown field "x" was ignored']


async def test_a_bare_configuration_is_taken_as_it_is() -> None:
    async with answering(http(200, b"node: {}", "text/x-yaml")) as server:
        assert (await ask(server.port)).config == b"node: {}"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (http(404, b"404 page not found\n"), "There is no /bootstrap endpoint for provided CP address"),
        (http(422, b"networking: must be defined"), "Invalid request: networking: must be defined"),
        (http(400), "Invalid request: status 400"),
        (http(200, b"{}", "application/json"), "cannot be read"),
        (http(200, b"[]", "application/json"), "cannot be read"),
    ],
)
async def test_refusals_that_will_not_change(answer: bytes, text: str) -> None:
    async with answering(answer) as server:
        with pytest.raises(AgentError, match="Failed to fetch Envoy bootstrap config") as refused:
            await ask(server.port)
    assert text in str(refused.value)


async def test_a_missing_token_is_told_apart() -> None:
    async with answering(http(422, b"Dataplane Token is required. Generate one")) as server:
        with pytest.raises(control_plane.TokenMissing):
            await ask(server.port)


@pytest.mark.parametrize("answer", [NOT_FOUND, http(500), http(503, b"x"), b""])
async def test_failures_that_may_pass(answer: bytes) -> None:
    async with answering(answer, answer, http(200, ENVELOPE, "application/json")) as server:
        plane = client(server.port)
        got = await plane.until_answered(lambda: plane.ask_bootstrap({}))

    assert got.config == b"node: {}"
    assert len(server.requests) == 3


async def test_a_limit_ends_the_attempts() -> None:
    async with answering(NOT_FOUND) as server:
        plane = client(server.port, limit=1)
        with pytest.raises(AgentError, match="Dataplane entity not found"):
            await plane.until_answered(lambda: plane.ask_bootstrap({}))


@pytest.mark.parametrize(("answer", "token"), [(http(200, b"abc\n"), "abc"), (http(403, b"no"), "")])
async def test_tokens(answer: bytes, token: str) -> None:
    async with answering(answer) as server:
        assert await client(server.port).ask_token("default", "web-1") == token

    sent: dict[str, Any] = json.loads(server.requests[0].split(b"\r\n\r\n")[1])
    assert sent == {"mesh": "default", "name": "web-1", "validFor": "87600h"}


async def test_a_token_of_a_mesh_that_does_not_exist() -> None:
    async with answering(http(404), http(404, b"{}", "application/json")) as server:
        with pytest.raises(AgentError, match='the mesh "typo" does not exist') as refused:
            await client(server.port).ask_token("typo", "web-1")

    assert "--mesh" in str(refused.value)
    assert server.requests[1].startswith(b"GET /meshes/typo HTTP/1.1")


async def test_another_servers_404_says_nothing_about_a_mesh() -> None:
    async with answering(http(404, b"404 page not found")) as server:
        assert await client(server.port).ask_token("default", "web-1") == ""


async def test_goodbye_carries_the_token_and_the_definition() -> None:
    async with answering(b"HTTP/1.1 204 No Content\r\n\r\n") as server:
        await client(server.port).say_goodbye("default", "web-1", "abc", "{}")
        await client(server.port).say_goodbye("", "way-out", "abc", proxy_type="egress")

    assert b"POST /goodbye HTTP/1.1" in server.requests[0]
    assert b"authorization: abc\r\n" in server.requests[0]
    bodies = [json.loads(each.split(b"\r\n\r\n")[1]) for each in server.requests]
    assert bodies == [
        {"mesh": "default", "name": "web-1", "proxyType": "dataplane", "dataplaneResource": "{}"},
        {"mesh": "", "name": "way-out", "proxyType": "egress"},
    ]


async def test_a_goodbye_for_what_is_gone_is_not_worth_a_word(said: pytest.LogCaptureFixture) -> None:
    async with answering(http(404), http(401)) as server:
        await client(server.port).say_goodbye("default", "web-1", "")
        assert said.messages == []
        await client(server.port).say_goodbye("default", "web-1", "")
    assert "did not take the goodbye: status 401" in said.text


async def test_an_address_without_tls_is_named() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(http(400))
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        plane = control_plane.ControlPlane(url, trust.Trust(), "", durations.MILLISECOND, 0)
        with pytest.raises(AgentError, match="does not speak TLS") as refused:
            await plane.ask_bootstrap({})
    assert f"{url}/bootstrap" in str(refused.value)
    assert "5678" in str(refused.value)


async def test_an_address_that_may_speak_tls_is_told_of(said: pytest.LogCaptureFixture) -> None:
    async with answering(b"", http(200, ENVELOPE, "application/json")) as server:
        plane = client(server.port)
        await plane.until_answered(lambda: plane.ask_bootstrap({}))
    assert said.messages[0].endswith("if it speaks TLS, its address begins with https://")


async def test_waiting_is_said_again_now_and_then(
    said: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_plane, "STILL_WAITING", 0.0)
    async with answering(http(500), http(500), http(200, ENVELOPE, "application/json")) as server:
        plane = client(server.port)
        await plane.until_answered(lambda: plane.ask_bootstrap({}))
    assert (
        said.messages == ["nothing from the control plane yet, trying until there is: unexpected status code: 500"] * 2
    )


@pytest.mark.parametrize("answer", [http(401), b""])
async def test_a_goodbye_that_fails_holds_nothing_up(answer: bytes) -> None:
    async with answering(answer) as server, asyncio.timeout(5):
        await client(server.port).say_goodbye("default", "web-1", "")
    assert len(server.requests) == 1
