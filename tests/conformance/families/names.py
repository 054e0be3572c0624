"""Family `names`: SNIs made from identifiers, and hashed names of synced copies."""

from pathlib import Path
from typing import Any

from kuma.base import kri
from kuma.resources import names
from tests.conformance import kinds, outcome

_SHORT_NAMES = {"MeshService": "msvc", "MeshExternalService": "extsvc", "MeshMultiZoneService": "mzsvc"}
"""Short names of kinds that the catalog may not hold yet."""


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case: a hashed name, an identifier, or a bare section name that has to be accepted."""
    if "expected" in case:
        made = names.hashed_name(case["mesh"], case["name"], *case["values"])
        return _same(case["expected"], made)
    given = case["case"]
    if isinstance(given, str):
        section = kri.Kri("msvc", "default", name="backend", section=given)
        problems = names.sni_problems(section)
        return outcome.failed("; ".join(problems)) if problems else outcome.PASSED
    return _sni(given)


def _sni(given: dict[str, Any]) -> outcome.Outcome:
    parts = given["id"]
    kind = kinds.known().find(parts.get("ResourceType", ""))
    short = kind.short if kind else _SHORT_NAMES.get(parts.get("ResourceType", ""), "")
    identifier = kri.Kri(
        short,
        parts.get("Mesh", ""),
        parts.get("Zone", ""),
        parts.get("Namespace", ""),
        parts.get("Name", ""),
        parts.get("SectionName", ""),
    )
    problems = names.sni_problems(identifier)
    wanted = given.get("expectedErrs")
    if not wanted:
        return outcome.failed("; ".join(problems)) if problems else _same(given["expected"], names.sni(identifier))
    text = "; ".join(problems)
    missing = [each for each in wanted if each not in text]
    return outcome.failed(f"missing: {missing}\nfound: {problems}") if missing else outcome.PASSED


def _same(expected: str, made: str) -> outcome.Outcome:
    return outcome.PASSED if expected == made else outcome.failed(f"expected: {expected}\nfound: {made}")
