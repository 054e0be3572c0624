"""Takes in request bodies: bounded in size, bounded in time, and only of the type the API speaks."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from kuma.base import errors

MAX_BODY = 4 * 1024 * 1024
"""Bytes of the largest body that is read (4 MiB)."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody is left to answer."""


class TooSlow(Exception):
    """The body did not arrive within the time allowed for it."""


async def read_body(headers: Mapping[bytes, bytes], receive: Receive, seconds: float) -> bytes:
    """The whole body. TooLarge above 4 MiB, before reading on; TooSlow after `seconds`; ClientGone on a hang-up."""
    declared = headers.get(b"content-length", b"")
    if declared.isdigit() and int(declared) > MAX_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                part = message.get("body", b"")
                size += len(part)
                if size > MAX_BODY:
                    raise _too_large()
                parts.append(part)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise TooSlow from None


def _too_large() -> errors.TooLarge:
    return errors.TooLarge(f"a request body must not be larger than {MAX_BODY} bytes")


def speaks_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body is declared as JSON (parameters such as a charset do not matter)."""
    return _media_type(headers.get(b"content-type", b"")) == "application/json"


def accepts_json(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the client would take JSON back: no Accept header, or one of its ranges covers JSON."""
    accept = headers.get(b"accept", b"").strip()
    if not accept:
        return True
    ranges = {_media_type(each) for each in accept.split(b",")}
    return bool(ranges & {"*/*", "application/*", "application/json"})


def _media_type(value: bytes) -> str:
    return value.split(b";", 1)[0].strip().lower().decode("latin-1")
