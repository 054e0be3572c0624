"""Sees what changes in the control plane: a picture of all resources that users write, compared with the one before."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.apps.demo import rest

_VOLATILE = ("creationTime", "modificationTime", "kri", "status")
_SECRET = ("Secret", "GlobalSecret")
_PAGE = 1000

Picture = Mapping[tuple[str, str, str], str]
"""Type, mesh and name of each resource, with its content as text."""


@dataclass(frozen=True, slots=True)
class Change:
    """One resource that came, went or became another."""

    type: str
    name: str
    verb: str

    def __str__(self) -> str:
        return f"{self.type} {self.name} {self.verb}"


class Watcher:
    """Asks the REST API of one control plane."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._paths: list[str] = []
        self._before: Picture | None = None

    def changes(self) -> list[Change]:
        """What changed since the last call, nothing on the first; rest.NoAnswer while the control plane is away."""
        now = self._picture()
        before, self._before = self._before, now
        if before is None:
            return []
        found = []
        for key in sorted({*before, *now}):
            kind, _, name = key
            if key not in before:
                found.append(Change(kind, name, "created"))
            elif key not in now:
                found.append(Change(kind, name, "deleted"))
            elif before[key] != now[key]:
                found.append(Change(kind, name, "changed"))
        return found

    def _picture(self) -> Picture:
        if not self._paths:
            listed = _object(*rest.ask(self._port, "GET", "/_resources")).get("resources") or []
            self._paths = [each["path"] for each in listed if not each["readOnly"] and each["name"] not in _SECRET]
        found: dict[tuple[str, str, str], str] = {}
        for path in self._paths:
            for item in _object(*rest.ask(self._port, "GET", f"/{path}?size={_PAGE}")).get("items") or []:
                key = (str(item.get("type", "")), str(item.get("mesh", "")), str(item.get("name", "")))
                found[key] = json.dumps({name: value for name, value in item.items() if name not in _VOLATILE})
        return found


def _object(status: int, body: Any) -> Mapping[str, Any]:
    if status != 200 or not isinstance(body, Mapping):
        raise rest.NoAnswer(f"status {status}")
    return body


def page_state(port: int) -> tuple[int, str]:
    """The status that the page answers with and the reason where it is not 200; status 0 while nobody answers."""
    try:
        status, body = rest.ask(port, "GET", "/status")
    except rest.NoAnswer:
        return 0, "the web service does not answer"
    return status, str(body.get("sentence", "")) if isinstance(body, Mapping) else str(body)


def changes_text(changes: Sequence[Change], state: tuple[int, str], word: str) -> str:
    """One line about changes and the page after them; several are told together, none is given the blame alone."""
    told = list(dict.fromkeys(str(each) for each in changes))
    if len(told) == 1:
        return f"{told[0]}: {page_text(state, word)}"
    return f"After {len(told)} changes ({', '.join(told)}): {page_text(state, word)}"


def page_text(state: tuple[int, str], word: str) -> str:
    """One phrase about the page: `page now answers 403: web was refused by api (...)`."""
    status, reason = state
    if not status:
        return f"page {word} does not answer"
    return f"page {word} answers {status}" + (f": {reason}" if reason else "")
