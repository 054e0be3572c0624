"""The command line of the conformance run. Exit code 0 whatever the cases say: floors are a test's business."""

import argparse
import json
from pathlib import Path

from tests.conformance import corpus, outcome, run


def main(arguments: list[str] | None = None) -> int:
    """Runs what was asked for and prints the table; 2 where there is no corpus."""
    options = _parser().parse_args(arguments)
    folder: Path = options.corpus
    if not folder.is_dir():
        print(f"no corpus at {folder}: give --corpus DIR or set KUMA_CORPUS")
        return 2
    results = list(run.run_corpus(folder, run.Selection(options.family)))
    if options.verbose:
        for case, became in results:
            if became.verdict is outcome.Verdict.FAILED:
                print(f"{case.family}: {case.id}\n{_indented(became.detail)}")
    rows = run.tally(results)
    print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps({name: row.as_json() for name, row in rows.items()}, indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument(
        "--corpus", type=Path, default=corpus.default_folder(), metavar="DIR", help="the corpus' folder"
    )
    parser.add_argument(
        "--family", nargs="+", action="extend", default=[], metavar="NAME[/TYPE]", help="only these families or types"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the counts as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what differs in each failing case")
    return parser


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


def _table(rows: dict[str, run.Tally]) -> str:
    lines = [f"{'family':<42}{'cases':>7}{'passed':>8}{'failed':>8}{'unsupported':>13}{'percent':>9}"]
    for name in sorted(rows):
        row = rows[name]
        lines.append(f"{name:<42}{row.cases:>7}{row.passed:>8}{row.failed:>8}{row.unsupported:>13}{row.percent:>8.1f}%")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
