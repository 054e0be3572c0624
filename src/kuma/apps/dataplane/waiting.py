"""`kuma-dp wait`: returns once a proxy is ready, so that an application may start after it."""

import asyncio
import contextlib
from urllib.parse import urlsplit

from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import host
from kuma.apps.dataplane.wire import http_client


async def wait_until_ready(
    url: str, unix_socket: str, frequency: float, timeout: float, request_timeout: float
) -> None:
    """Asks every `frequency` seconds until the answer is 200; AgentError after `timeout` seconds."""
    target = urlsplit(url)
    if target.scheme not in ("http", "https") or not target.hostname:
        raise AgentError(f"the URL {url} is not absolute")
    if not host.is_loopback(target.hostname):
        raise AgentError(
            f"the host of {url} must be a loopback address: only a proxy on this machine can be waited for"
        )
    try:
        async with asyncio.timeout(timeout):
            while True:
                with contextlib.suppress(OSError):  # it does not listen yet
                    answer = await http_client.send_request(
                        "GET", url, unix_socket=unix_socket, timeout=request_timeout
                    )
                    if answer.status == 200:
                        return
                await asyncio.sleep(frequency)
    except TimeoutError as error:
        where = unix_socket or url
        raise AgentError(f"timeout occurred while waiting for the proxy at {where} to be ready") from error
