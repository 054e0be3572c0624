"""What the project once reached in the corpus, it keeps. Raise a floor when a family gets better; never lower one."""

import json
from pathlib import Path

import pytest

from tests.conformance import corpus, run

FLOORS: dict[str, int] = json.loads((Path(__file__).parent / "floors.json").read_text())


@pytest.mark.parametrize("name", sorted(FLOORS))
def test_family_keeps_its_floor(name: str) -> None:
    folder = corpus.default_folder()
    if not (folder / name.partition("/")[0] / "index.json").is_file():
        pytest.skip(f"no conformance corpus at {folder}: set KUMA_CORPUS to its folder")

    rows = run.tally(run.run_corpus(folder, run.Selection([name])))

    family = rows[name.partition("/")[0]]
    assert family.passed >= FLOORS[name], f"{name}: {family.passed} of {family.cases} pass, {FLOORS[name]} did before"
