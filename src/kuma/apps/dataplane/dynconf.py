"""Fetches the agent's own configuration, which the control plane hands to it through Envoy.

Envoy serves fixed bodies on a Unix socket (`/meshmetric`, `/dns`), with an ETag that is a hash of the body; asking again
with that tag costs a 304 while nothing has changed. So the agent needs no connection to the control plane of its own.
Source: Kuma's dynamic configuration between Envoy and its agent.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from kuma.apps.dataplane import log
from kuma.apps.dataplane.wire import http_client

_ANSWER_SECONDS = 5.0

_log = log.logger("dynconf")

Take = Callable[[bytes | None], None]
"""Puts a body in force, None where there no longer is one. ValueError refuses it, and it is offered again."""


@dataclass(slots=True)
class _Route:
    """One path, the tag of what is in force there, and the trouble that was last written to the log."""

    path: str
    take: Take
    tag: str = ""
    is_in_force: bool = False
    trouble: str = ""


class Poller:
    """Asks for each path once per `interval` (seconds), from `socket`."""

    def __init__(self, socket: str, interval: float) -> None:
        self._socket = socket
        self._interval = interval
        self._routes: list[_Route] = []

    def add(self, path: str, take: Take) -> None:
        """Has `take` called with the body at `path` whenever it changes. Only before `run`."""
        self._routes.append(_Route(path, take))

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            await self.ask_all()
            await asyncio.sleep(self._interval)

    async def ask_all(self) -> None:
        """One round. What goes wrong on one path is logged, once, and does not keep others from theirs."""
        for route in self._routes:
            try:
                await self._ask(route)
                route.trouble = ""
            except (FileNotFoundError, ConnectionRefusedError):
                # Envoy is not there yet, or leaves the file of a listener behind that it has closed.
                continue
            except (OSError, ValueError) as error:
                trouble = str(error) or type(error).__name__
                if trouble != route.trouble:
                    _log.warning("configuration from Envoy at %s is not in force: %s", route.path, trouble)
                route.trouble = trouble

    async def _ask(self, route: _Route) -> None:
        headers = {"if-none-match": route.tag} if route.tag else {}
        answer = await http_client.send_request(
            "GET", f"http://localhost{route.path}", headers=headers, unix_socket=self._socket, timeout=_ANSWER_SECONDS
        )
        if answer.status == 304:
            return
        if answer.status == 404:
            route.tag = ""
            if route.is_in_force:
                route.is_in_force = False
                route.take(None)
            return
        if answer.status != 200:
            raise ValueError(f"status {answer.status}")
        route.tag = ""  # until it is in force, it is asked for again
        route.take(answer.body)
        route.is_in_force = True
        route.tag = answer.headers.get("etag", "")
        _log.info("configuration from Envoy at %s is in force", route.path)
