"""The harness itself, on a corpus of three small families."""

import json
from pathlib import Path

import pytest

from tests.conformance import __main__ as program

SPEC = """
id: {id}
resourceType: {type}
format: legacy
resource: |
  {resource}
expected:
  valid: {valid}
  violations: {violations}
  order: exact
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cases = [
        ("TrafficPermission/1", "sources: []", False, "[{field: sources, message: must have at least one element}, {field: destinations, message: must have at least one element}]"),
        ("TrafficPermission/2", "sources: []", True, "[]"),
        ("Alien/1", "x: 1", True, "[]"),
    ]  # fmt: skip
    family = tmp_path / "validators"
    for name, text, valid, violations in cases:
        file = family / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        kind = name.partition("/")[0]
        file.write_text(SPEC.format(id=name, type=kind, resource=text, valid=str(valid).lower(), violations=violations))
    index = [{"id": name, "resourceType": name.partition("/")[0]} for name, *_ in cases]
    (family / "index.json").write_text(json.dumps(index))
    (tmp_path / "names").mkdir()
    section = {"id": "sni/1", "case": "8080"}
    (tmp_path / "names/index.json").write_text(json.dumps({"about": "an object", "cases": [section]}))
    (tmp_path / "from_the_future").mkdir()
    (tmp_path / "from_the_future/index.json").write_text(json.dumps([{"id": "x"}]))
    return tmp_path


def counts(cases: int, passed: int = 0, failed: int = 0, unsupported: int = 0) -> dict[str, int]:
    return {"cases": cases, "passed": passed, "failed": failed, "unsupported": unsupported}


def test_counts_by_family_and_by_type_of_validators(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = folder / "report.json"
    assert program.main(["--corpus", str(folder), "--json", str(report), "-v"]) == 0

    assert json.loads(report.read_text()) == {
        "from_the_future": counts(1, unsupported=1),
        "names": counts(1, passed=1),
        "validators": counts(3, passed=1, failed=1, unsupported=1),
        "validators/TrafficPermission": counts(2, passed=1, failed=1),
        "validators/Alien": counts(1, unsupported=1),
    }
    printed = capsys.readouterr().out
    assert "validators: TrafficPermission/2" in printed
    assert "sources: must have at least one element" in printed
    assert "33.3%" in printed


def test_only_what_is_asked_for(folder: Path) -> None:
    report = folder / "report.json"
    asked = ["--family", "validators/Alien", "names"]
    assert program.main(["--corpus", str(folder), "--json", str(report), *asked]) == 0
    assert set(json.loads(report.read_text())) == {"names", "validators", "validators/Alien"}


def test_a_missing_corpus_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--corpus", str(tmp_path / "nowhere")]) == 2
    assert "KUMA_CORPUS" in capsys.readouterr().out
