"""Finds the corpus and lists its cases.

A corpus is a folder of families; `<family>/index.json` is a list of cases, or an object that holds them as `cases`.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def default_folder() -> Path:
    """`KUMA_CORPUS`, else `../shared/corpus` beside the checkout."""
    return Path(os.environ.get("KUMA_CORPUS") or ROOT / "../shared/corpus").resolve()


@dataclass(frozen=True, slots=True)
class Case:
    """One entry of a family's index, as it stands there."""

    family: str
    entry: dict[str, Any]

    @property
    def id(self) -> str:
        """The case's name within its family."""
        return str(self.entry.get("id", "?"))

    @property
    def type(self) -> str:
        """The group within the family: the resource type or function, else the first part of the id."""
        named = self.entry.get("resourceType") or self.entry.get("function")
        return str(named) if named else self.id.partition("/")[0]


def families(folder: Path) -> list[str]:
    """The names of the families a corpus holds, sorted."""
    return sorted(each.parent.name for each in folder.glob("*/index.json"))


def cases(folder: Path, family: str) -> Iterator[Case]:
    """The cases of a family, in the order of its index."""
    index = json.loads((folder / family / "index.json").read_text())
    for entry in index["cases"] if isinstance(index, dict) else index:
        yield Case(family, entry)
