"""Start-up time of kumactl: `python bench/cli.py [--runs N]` prints medians and how they compare with a bare Python.

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

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from kuma.apps.kumactl import kinds  # noqa: E402  # needs the path above
from tests.kit import rest_stub  # noqa: E402

BUDGETS = {"--help": 80.0, "get": 150.0}


def milliseconds(command: list[str], runs: int) -> tuple[float, float]:
    """Median and least wall-clock time of a command, in milliseconds."""
    taken = []
    for _ in range(runs + 1):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append((time.perf_counter() - begin) * 1000)
    return statistics.median(taken[1:]), min(taken[1:])


def main() -> None:
    """Prints one line a command."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--runs", type=int, default=15)
    runs = reader.parse_args().runs
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
        rows = [
            ("python -c pass", [sys.executable, "-c", "pass"], None),
            ("kumactl --help", [*kumactl, "--help"], BUDGETS["--help"]),
            ("kumactl config view", [*kumactl, "--config-file", config, "config", "view"], None),
            ("kumactl get meshes", [*kumactl, "--config-file", config, "get", "meshes"], BUDGETS["get"]),
        ]
        bare = 0.0
        print(f"{'command':<30}{'median':>10}{'best':>10}{'of python':>11}{'budget':>10}")
        for label, command, budget in rows:
            median, best = milliseconds(command, runs)
            bare = bare or median
            note = f"{budget:.0f} ms" if budget else "-"
            print(f"{label:<30}{median:>7.1f} ms{best:>7.1f} ms{median / bare:>10.1f}x{note:>10}")


if __name__ == "__main__":
    main()
