"""Asks Envoy and the applications behind the proxy for their metrics, all at once, each on its own account.

One that is slow or broken costs its own metrics and one line of the log, not the answer of the others.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kuma.apps.dataplane import log
from kuma.apps.dataplane.supervised.envoy import Admin
from kuma.apps.dataplane.wire import http_client

PASSED_HEADERS = ("accept", "user-agent", "x-prometheus-scrape-timeout-seconds")
"""Headers of a scrape that applications get to see."""

DEFAULT_SECONDS = 9.0
"""What a scrape may take where its reader does not say: Prometheus gives up after 10 s by default."""

_REDIRECTED = {4: "127.0.0.6", 6: "::6"}
"""Source addresses that iptables rules of the transparent proxy let through to applications."""

_log = log.logger("metrics")


@dataclass(frozen=True, slots=True)
class Target:
    """An application, as the log calls it and where its metrics are."""

    name: str
    address: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """Where to ask."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.port}/{self.path.lstrip('/')}"

    @property
    def called(self) -> str:
        """What the log calls it."""
        return f"{self.name or 'application'} at {self.url}"


@dataclass(frozen=True, slots=True)
class Scraped:
    """What one of them answered."""

    body: bytes
    content_type: str


class Scraper:
    """Scrapes from beside Envoy. `is_redirected`: traffic of this machine goes through a transparent proxy."""

    def __init__(self, admin: Admin, is_redirected: bool) -> None:
        self._admin = admin
        self._is_redirected = is_redirected
        self._troubles: dict[str, str] = {}

    async def scrape(
        self, envoy_query: str, targets: Iterable[Target], headers: Mapping[str, str], seconds: float
    ) -> tuple[Scraped | None, list[Scraped]]:
        """Envoy's answer, and those of the applications that gave one."""
        asked = [self._ask_envoy(envoy_query, seconds)]
        asked += [self._ask(each, headers, seconds) for each in targets]
        envoy, *others = await asyncio.gather(*asked)
        return envoy, [each for each in others if each is not None]

    def forget(self, targets: Iterable[Target]) -> None:
        """Nobody asks for these any more: what was wrong with them is no longer remembered."""
        for each in targets:
            self._troubles.pop(each.called, None)

    async def _ask_envoy(self, query: str, seconds: float) -> Scraped | None:
        try:
            answer = await self._admin.stats(query, seconds)
        except OSError as error:
            self._note("envoy", error)
            return None
        return self._judged("envoy", answer)

    async def _ask(self, target: Target, headers: Mapping[str, str], seconds: float) -> Scraped | None:
        source = _REDIRECTED[6 if ":" in target.address else 4] if self._is_redirected else ""
        try:
            answer = await http_client.send_request("GET", target.url, headers=headers, source=source, timeout=seconds)
        except (OSError, ValueError, OverflowError) as error:
            self._note(target.called, error)
            return None
        return self._judged(target.called, answer)

    def _judged(self, name: str, answer: http_client.Answer) -> Scraped | None:
        if answer.status != 200:
            self._note(name, ValueError(f"status {answer.status}"))
            return None
        if self._troubles.pop(name, None):
            _log.info("metrics of %s are back", name)
        return Scraped(answer.body, answer.headers.get("content-type", ""))

    def _note(self, name: str, error: Exception) -> None:
        trouble = str(error) or type(error).__name__
        if self._troubles.get(name) != trouble:
            self._troubles[name] = trouble
            _log.warning("no metrics of %s: %s", name, trouble)


def seconds_for(headers: Mapping[str, str]) -> float:
    """How long scrapes may take for a reader, which says when it gives up, to get what there is by then."""
    try:
        patience = float(headers.get("x-prometheus-scrape-timeout-seconds", ""))
    except ValueError:
        return DEFAULT_SECONDS
    return min(max(patience * 0.9, 0.1), 60.0)
