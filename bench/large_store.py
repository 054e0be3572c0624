"""How a large SQLite store opens: `python -m bench.large_store [--proxies N] [--policies N]`.

The store holds Dataplanes of 100 outbounds each, to 100 services, and policies. A process of its own opens it, so that
the memory is that of the store alone: resident memory once it is open, less what the process needed with every kind
imported and an empty store open.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import figures
from kuma.legacy_policies import discovery as legacy_policies
from kuma.policies import discovery as policies
from kuma.resources import builtin, catalog, codec
from kuma.store import protocol, sqlite

SERVICES = 100
OUTBOUNDS = 100
_MEGABYTE = 1024 * 1024


def known() -> catalog.Catalog:
    """Every kind."""
    return catalog.Catalog([*builtin.CORE_KINDS, *policies.kinds(), *legacy_policies.kinds()])


def documents(proxies: int, rules: int, are_distinct: bool) -> Iterator[dict[str, Any]]:
    """REST documents of a mesh, its proxies and its policies; `are_distinct`: no two proxies have an outbound alike."""
    yield {"type": "Mesh", "name": "default"}
    for number in range(proxies):
        service = number % SERVICES
        tags = {"kuma.io/service": f"svc-{service}", "kuma.io/protocol": "http", "version": f"v{number % 3}"}
        own = {"address": f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"} if are_distinct else {}
        outbounds = [
            {"port": 10_001 + place, **own, "tags": {"kuma.io/service": f"svc-{(service + place) % SERVICES}"}}
            for place in range(OUTBOUNDS)
        ]
        yield {
            "type": "Dataplane",
            "mesh": "default",
            "name": f"dp-{number:05}",
            "labels": {"kuma.io/mesh": "default", "kuma.io/zone": "default", "kuma.io/workload": f"svc-{service}"},
            "networking": {
                "address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
                "inbound": [{"port": 8080, "servicePort": 80, "tags": tags}],
                "outbound": outbounds,
            },
        }
    for number in range(rules):
        target = {"kind": "MeshSubset", "tags": {"kuma.io/service": f"svc-{number % SERVICES}"}}
        conf = {"connectionTimeout": f"{number + 1}ms", "http": {"requestTimeout": f"{number + 1}s"}}
        yield {
            "type": "MeshTimeout",
            "mesh": "default",
            "name": f"timeout-{number:04}",
            "spec": {"targetRef": target, "to": [{"targetRef": {"kind": "Mesh"}, "default": conf}]},
        }


async def fill(path: Path, proxies: int, rules: int, are_distinct: bool) -> None:
    """Writes the store."""
    kinds = known()
    store = sqlite.SqliteStore(path, kinds)
    changes = []
    for document in documents(proxies, rules, are_distinct):
        kind = kinds.find(document["type"])
        assert kind is not None, document["type"]
        changes.append(protocol.Change(protocol.Op.CREATED, codec.decode(kind, document)))
    await store.apply(changes)
    await store.close()


async def opened(path: Path) -> dict[str, float]:
    """Seconds to open, megabytes it costs, and how many resources were found; for a process of its own."""
    kinds = known()
    await sqlite.SqliteStore(path.with_name("empty.db"), kinds).close()
    before = _resident()
    started = time.perf_counter()
    store = sqlite.SqliteStore(path, kinds)
    taken = time.perf_counter() - started
    found = 0
    for kind in kinds:
        found += len(await store.list(kind))
    cost = (_resident() - before) / _MEGABYTE
    await store.close()
    return {"seconds": taken, "megabytes": cost, "resources": found}


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def run(proxies: int = 10_000, rules: int = 1_000) -> list[figures.Figure]:
    """Time and memory of opening the store: the usual one, where proxies call the same services at the same ports, and
    the worst.
    """
    return [*measure(proxies, rules, are_distinct=False), *measure(proxies, rules, are_distinct=True)]


def measure(proxies: int, rules: int, *, are_distinct: bool) -> list[figures.Figure]:
    """Time and memory of opening one store."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.db"
        asyncio.run(fill(path, proxies, rules, are_distinct))
        command = [sys.executable, "-m", "bench.large_store", "--open", str(path)]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert found["resources"] == proxies + rules + 1, found
    outbounds = f"{OUTBOUNDS} {'distinct ' if are_distinct else ''}outbounds"
    name = f"store of {proxies:,} Dataplanes of {outbounds}, {rules:,} policies"
    return [
        figures.Figure(f"{name}: open", found["seconds"], "s", 5.0),
        figures.Figure(f"{name}: memory", found["megabytes"], "MB", 200.0),
    ]


def main() -> None:
    """Prints the table; with `--open FILE` what opening costs, as JSON."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--proxies", type=int, default=10_000)
    options.add_argument("--policies", type=int, default=1_000)
    options.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.open is not None:
        print(json.dumps(asyncio.run(opened(chosen.open))))
    else:
        print(figures.table(run(chosen.proxies, chosen.policies)))


if __name__ == "__main__":
    main()
