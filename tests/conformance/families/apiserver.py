"""Family `apiserver`: REST requests over a preloaded memory store and the answers that they must get.

The API runs alone, as the corpus asks: no defaults, no rules beyond a kind's own, nothing in the background.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from kuma.services.rules import role as roles
from tests.conformance import outcome
from tests.kit import api as kit

ADDRESS = kit.LOCAL["host"]
_TIME = re.compile(r'\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d[^"]+')
_SEPARATOR = re.compile(r"^---$", re.M)
_ZERO_TIME = "0001-01-01T00:00:00Z"


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """Sends the requests of a case in order; unsupported where it is about kinds or views that do not exist yet."""
    lacking = _lacking(case, folder)
    if lacking:
        return outcome.unsupported(lacking)
    problems = asyncio.run(_play(case, folder))
    return outcome.failed("\n".join(problems)) if problems else outcome.PASSED


def _documents(case: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    # Inputs repeat keys here and there, which the project's own reader refuses. Each document is read without the
    # blank lines around it, as Kuma's reader does: a block of text at its end has no final newline.
    source = case.get("input")
    documents = _SEPARATOR.split((folder / source).read_text()) if source else []
    return [found for each in documents if (found := yaml.safe_load(each.strip()))]


def _lacking(case: dict[str, Any], folder: Path) -> str:
    catalog = kit.known_kinds()
    for each in _documents(case, folder):
        if catalog.find(str(each.get("type"))) is None:
            return f"no kind {each.get('type')}"
    for action in case["actions"]:
        path = action["path"]
        own = path.partition("?")[0].strip("/").split("/")
        plural = own[2] if own[0] == "meshes" and len(own) > 2 else own[0]
        if plural in ("_resources", "policies", "global-insights"):
            golden = json.loads((folder / action["golden"]).read_text())
            names = (
                golden["resources"]
                if plural == "global-insights"
                else [each["name"] for each in golden.get("resources") or golden.get("policies")]
            )
            missing = [name for name in names if catalog.find(name) is None]
            if missing:
                return f"{plural} lists kinds that do not exist: {', '.join(missing[:3])} ..."
        elif not plural.startswith("_") and not path.endswith("/_hostnames") and catalog.at_path(plural) is None:
            return f"no kind at {plural}"
    return ""


async def _play(case: dict[str, Any], folder: Path) -> list[str]:
    mode = roles.Mode(case.get("mode", "zone"))
    api = kit.build(roles.Role(mode=mode), plain=True)
    for each in _documents(case, folder):
        await api.load(each)
    return [problem for action in case["actions"] for problem in await _act(api, action, folder)]


async def _act(api: kit.Api, action: dict[str, Any], folder: Path) -> list[str]:
    request = action.get("request")
    body = (folder / request).read_bytes() if request else None
    answer = await api.call(action["method"], action["path"], body)
    where = f"{action['method']} {action['path']}"
    if answer.status != action["status"]:
        return [f"{where}: status {answer.status}, expected {action['status']}: {answer.text[:300]}"]
    golden = action.get("golden")
    if golden is None:
        return [f"{where}: unexpected body"] if answer.body else []
    text = _TIME.sub(_ZERO_TIME, answer.text.replace(ADDRESS, "{{address}}"))
    expected = json.loads(_TIME.sub(_ZERO_TIME, (folder / golden).read_text()))
    return [f"{where}: {each}" for each in _differences(expected, json.loads(text))]


def _differences(expected: Any, found: Any, path: str = "") -> Iterator[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in sorted({*expected, *found}):
            if key not in found:
                yield f"{path}.{key} is missing"
            elif key not in expected:
                yield f"{path}.{key} is unexpected"
            else:
                yield from _differences(expected[key], found[key], f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, (one, other) in enumerate(zip(expected, found, strict=True)):
            yield from _differences(one, other, f"{path}[{index}]")
    elif expected != found:
        yield f"{path}: {found!r}, expected {expected!r}"[:400]
