"""What an insight's subscriptions say about a proxy or a zone: connected or not, since when, updates, versions."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from kuma.apps.kumactl import tables

Tree = Mapping[str, Any]

LONGEST = 160
"""Characters of a reason in a table; the insight has all of them."""


class Connections:
    """The subscriptions of one insight, as a REST answer holds them."""

    def __init__(self, insight: Tree) -> None:
        self._all: Sequence[Tree] = insight.get("subscriptions") or []

    @property
    def last(self) -> Tree:
        """The newest subscription, empty where there never was one."""
        return self._all[-1] if self._all else {}

    @property
    def is_online(self) -> bool:
        """Whether the newest subscription is still open."""
        return bool(self._all) and not self.last.get("disconnectTime")

    def ages(self, now: datetime) -> tuple[str, str]:
        """How long ago the peer connected, and was updated."""
        return tables.age(self.last.get("connectTime"), now), tables.age(self._status.get("lastUpdateTime"), now)

    def totals(self) -> tuple[str, str]:
        """Updates sent and updates refused, over all subscriptions."""
        totals = [(each.get("status") or {}).get("total") or {} for each in self._all]
        sent = sum(int(each.get("responsesSent") or 0) for each in totals)
        return str(sent), str(sum(int(each.get("responsesRejected") or 0) for each in totals))

    def version(self, part: str) -> str:
        """The version of `kumaDp`, `envoy` or `kumaCp` that the peer reported."""
        return str(((self.last.get("version") or {}).get(part) or {}).get("version") or "")

    def dependencies(self) -> str:
        """Versions of what else runs beside the proxy: `coredns: 1.8.3`, `-` where none is known."""
        known = (self.last.get("version") or {}).get("dependencies") or {}
        return ", ".join(f"{name}: {version}" for name, version in sorted(known.items())) or "-"

    def troubles(self) -> Iterator[str]:
        """Why a connected peer does not have the configuration that it should have: each reason once, cut to a line."""
        if self.is_online:
            reasons = [((each or {}).get("lastError") or {}).get("message") for each in self._parts()]
            yield from dict.fromkeys(_line(each) for each in reasons if each)

    def _parts(self) -> Iterator[Tree]:
        """What the status says of each type, and of all together."""
        return (each for each in self._status.values() if isinstance(each, Mapping))

    @property
    def _status(self) -> Tree:
        found: Tree = self.last.get("status") or {}
        return found


def _line(text: str) -> str:
    first = text.strip().splitlines()[0]
    return first if len(first) <= LONGEST else first[: LONGEST - 3] + "..."


def word(is_online: bool) -> str:
    """`Online` or `Offline`."""
    return "Online" if is_online else "Offline"
