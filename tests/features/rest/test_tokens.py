"""Asking for tokens over REST."""

import base64
import json
from typing import Any

import pytest

from tests.kit import api as kit


def claims_of(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return found


async def started() -> kit.Api:
    api = kit.build()
    await api.defaults.ensure_started()
    return api


async def test_tokens_are_plain_text() -> None:
    api = await started()
    asked = {"mesh": "default", "name": "web-1", "tags": {"kuma.io/service": ["web"]}, "validFor": "1h"}
    answer = await api.call("POST", "/tokens/dataplane", asked)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/plain")
    claims = claims_of(answer.text)
    assert (claims["Name"], claims["Mesh"], claims["Tags"]) == ("web-1", "default", {"kuma.io/service": ["web"]})
    assert claims["exp"] - claims["iat"] == 3605
    zone = await api.call("POST", "/tokens/zone", {"zone": "east", "scope": ["egress"]})
    assert claims_of(zone.text)["Scope"] == ["egress"]
    user = await api.call("POST", "/tokens/user", {"name": "bob", "groups": ["team"], "validFor": "1h"})
    assert claims_of(user.text)["Groups"] == ["team"]


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        (
            "/tokens/dataplane",
            {"mesh": "", "validFor": "x"},
            [("mesh", "cannot be empty"), ("validFor", 'is invalid: time: invalid duration "x"')],
        ),
        ("/tokens/dataplane", {"mesh": "default", "type": "x"}, [("type", "x is not a valid proxy type")]),
        ("/tokens/zone", {"zone": "east"}, [("scope", "cannot be empty")]),
        (
            "/tokens/user",
            {"name": "", "validFor": ""},
            [("name", "cannot be empty"), ("validFor", "cannot be empty")],
        ),
        ("/tokens/user", {"name": "bob", "validFor": "0s"}, [("validFor", "cannot be empty or nil")]),
        (
            "/tokens/user",
            {"name": "bob", "validFor": "1y"},
            [
                ("validFor", 'is invalid: time: unknown unit "y" in duration "1y"'),
                ("validFor", "cannot be empty or nil"),
            ],
        ),
    ],
)
async def test_what_a_request_lacks_is_named(path: str, body: Any, fields: list[tuple[str, str]]) -> None:
    api = await started()
    answer = await api.call("POST", path, body)
    document = json.loads(answer.body)
    assert (answer.status, document["title"]) == (400, "Invalid request")
    assert [(each["field"], each["message"]) for each in document["causes"]] == fields


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"mesh": 1}'])
async def test_an_unreadable_request_gets_an_empty_answer(body: bytes) -> None:
    api = await started()
    answer = await api.call("POST", "/tokens/dataplane", body)
    assert (answer.status, answer.body, answer.headers.get("content-type")) == (400, b"", None)


async def test_a_mesh_without_a_key() -> None:
    api = await started()
    answer = await api.call("POST", "/tokens/dataplane", {"mesh": "none"})
    document = json.loads(answer.body)
    assert (answer.status, document["title"]) == (404, "Signing Key not found")
    assert '"dataplane-token-signing-key-none-1" in mesh "none" is not found' in document["detail"]


async def test_other_methods_are_refused() -> None:
    api = await started()
    assert (await api.call("GET", "/tokens/user")).status == 405
