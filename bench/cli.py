"""Start-up time of kumactl: `python -m bench.cli [--runs N]` prints medians, with a bare Python's beside them.

`get` runs against a stub of the REST API on a free port, so that its figure holds the whole of a useful call.
"""

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from bench import figures
from kuma.apps.kumactl import kinds
from tests.kit import rest_stub

RUNS = 15


def milliseconds(command: list[str], runs: int) -> float:
    """Median wall-clock time of a command, in milliseconds."""
    taken = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken[1:])


def run(runs: int = RUNS) -> list[figures.Figure]:
    """The median of each command as a whole process, in milliseconds."""
    script = pathlib.Path(sys.executable).with_name("kumactl")
    kumactl = [str(script)] if script.exists() else [sys.executable, "-m", "kuma.apps.kumactl.main"]
    stub = rest_stub.Stub(kinds.catalog())
    stub.add({"type": "Mesh", "name": "default"})
    with rest_stub.serve(stub), tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as installed: a wheel's modules are compiled once
        config = f"{home}/config"
        add = ["config", "control-planes", "add", "--name", "stub", "--address", stub.url]
        subprocess.run([*kumactl, "--config-file", config, *add], check=True, capture_output=True)
        rows: list[tuple[str, list[str], float | None, float | None]] = [
            ("python -c pass", [sys.executable, "-c", "pass"], None, None),
            ("kumactl --help", [*kumactl, "--help"], 80.0, 130.0),
            ("kumactl config view", [*kumactl, "--config-file", config, "config", "view"], None, None),
            ("kumactl get meshes", [*kumactl, "--config-file", config, "get", "meshes"], 150.0, None),
        ]
        return [
            figures.Figure(f"cli: {label}", milliseconds(command, runs), "ms", target, kuma)
            for label, command, target, kuma in rows
        ]


def main() -> None:
    """Prints one line a command."""
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("--runs", type=int, default=RUNS)
    print(figures.table(run(reader.parse_args().runs)))


if __name__ == "__main__":
    main()
