"""The examples that policies bring along."""

import functools
from pathlib import Path
from typing import Any

import yaml

_SOURCES = Path(__file__).parents[2] / "src/kuma"


@functools.cache
def by_kind() -> dict[str, list[dict[str, Any]]]:
    """Every example document, by its kind."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(_SOURCES.glob("*policies/*/examples/*.yaml")):
        for document in yaml.safe_load_all(file.read_text()):
            found.setdefault(document["type"], []).append(document)
    return found
