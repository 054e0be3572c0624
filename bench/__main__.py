"""`python -m bench [name ...]` runs all benchmarks, or those that are named, and prints one table."""

import argparse
import importlib

from bench import figures

NAMES = (
    "matching",
    "compile",
    "access_logs",
    "mesh",
    "destinations",
    "store",
    "large_store",
    "rest",
    "readers",
    "cli",
    "agent",
    "dns",
    "telemetry",
    "propagation",
    "xds",
    "transport",
)


def main() -> None:
    """Prints what runs as it begins, and the table at the end."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(NAMES)}; all by default")
    chosen = options.parse_args().names or NAMES
    unknown = set(chosen) - set(NAMES)
    if unknown:
        options.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    found: list[figures.Figure] = []
    for name in chosen:
        print(f"running {name} ...", flush=True)
        found += importlib.import_module(f"bench.{name}").run()
    print(figures.table(found))


if __name__ == "__main__":
    main()
