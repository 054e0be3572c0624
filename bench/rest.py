"""How fast the REST API reads: `python -m bench.rest [--proxies N]`.

1,000 Dataplanes of 100 outbounds each (10 MB as Kuma prints them), each with an insight, behind the plain HTTP port of
this process; the client is a process of its own, so that the times are those of one core. Before every timed read one
Dataplane is written, as in a mesh that lives. `first` is the very first read, when nothing has been rendered yet.
Kuma's figures are those of its memory store.
"""

import argparse
import asyncio
import dataclasses
import http.client
import itertools
import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import figures, large_store
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.store import memory, protocol, sqlite
from kuma.transport import limits, plain
from tests.kit import api as kit
from tests.kit import postgres as servers

READERS, READING_SECONDS, REPEATS = 50, 3.0, 15
BASE = "/meshes/default/dataplanes"
INSIGHT = {
    "subscriptions": [
        {
            "id": "1",
            "controlPlaneInstanceId": "cp-1",
            "connectTime": "2026-01-02T03:04:05Z",
            "generation": 7,
            "status": {"total": {"responsesSent": "40", "responsesAcknowledged": "40"}, "cds": {}, "eds": {}, "lds": {}, "rds": {}},
            "version": {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2"}},
        }
    ],
    "mTLS": {"issuedBackend": "ca-1", "supportedBackends": ["ca-1"]},
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Read:
    """One kind of read: `target` and `kuma` in milliseconds, the first read with nothing rendered included."""

    name: str
    path: str
    target: float
    kuma: float


READS = (
    Read("a page of 100", f"{BASE}?size=100", 15.0, 800.0),
    Read("all 1,000 in one page", f"{BASE}?size=1000", 120.0, 3_000.0),
    Read("overviews of 1,000", f"{BASE}/_overview?size=1000", 200.0, 2_500.0),
    Read("one Dataplane", f"{BASE}/dp-00007", 2.0, 7.0),
)


async def fill(api: kit.Api, proxies: int) -> None:
    """Puts the mesh, its Dataplanes and their insights into the store."""
    changes = []
    for document in large_store.documents(proxies, 0, True):
        found = [document]
        if document["type"] == "Dataplane":
            found.append({"type": "DataplaneInsight", "mesh": "default", "name": document["name"], **INSIGHT})
        for each in found:
            kind = api.catalog.find(each["type"])
            assert kind is not None
            changes.append(protocol.Change(protocol.Op.CREATED, codec.decode(kind, each)))
    await api.store.apply(changes)


async def measure(store: protocol.Store, proxies: int) -> dict[str, float]:
    """The client's figures against an API on this store."""
    api = kit.build(store=store)
    await fill(api, proxies)
    server = plain.PlainServer(asgi_app=api.app, limits=limits.Limits(), on_refused=lambda reason: None)
    port = await server.start("127.0.0.1", 0)
    program = (sys.executable, "-m", "bench.rest", "--client", str(port))
    client = await asyncio.create_subprocess_exec(
        *program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert client.stdin is not None
    assert client.stdout is not None
    key = res.Key("Dataplane", "default", "dp-00003")
    for number in itertools.count():
        line = await client.stdout.readline()
        if not line.startswith(b"write"):
            break
        current = await store.get(key)
        labels = {**current.meta.labels, "number": str(number)}
        await store.update(dataclasses.replace(current, meta=dataclasses.replace(current.meta, labels=labels)))
        client.stdin.write(b"written\n")
    await client.wait()
    await server.stop(1.0)
    await store.close()
    found: dict[str, float] = json.loads(line)
    return found


def read_all(port: int) -> dict[str, float]:
    """The client: latencies in milliseconds, then answers a second to many readers at once."""
    found: dict[str, float] = {}
    connection = http.client.HTTPConnection("127.0.0.1", port)
    for each in READS:
        found[f"{each.name}, first"] = _timed(connection, each.path)
        times = []
        for _ in range(REPEATS):
            print("write", flush=True)
            sys.stdin.readline()
            times.append(_timed(connection, each.path))
        found[each.name] = statistics.median(times)
    found["readers"] = _crowd(port)
    return found


def _timed(connection: http.client.HTTPConnection, path: str) -> float:
    started = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    buffer = bytearray(1 << 20)
    while answer.readinto(buffer):
        continue
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}")
    return (time.perf_counter() - started) * 1e3


def _crowd(port: int) -> float:
    """Pages of 100 a second, read by READERS at once."""
    counts = [0] * READERS
    end = time.perf_counter() + READING_SECONDS

    def read(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.perf_counter() < end:
            _timed(connection, f"{BASE}?size=100&offset={(number * 100 + counts[number]) % 900}")
            counts[number] += 1

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS)]
    started = time.perf_counter()
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sum(counts) / (time.perf_counter() - started)


def run(proxies: int = 1_000) -> list[figures.Figure]:
    """The read figures of each store; PostgreSQL is left out where no server can be had."""
    with tempfile.TemporaryDirectory() as folder:
        stores: list[tuple[str, Callable[[], Any]]] = [
            ("memory", memory.MemoryStore),
            ("sqlite", lambda: sqlite.SqliteStore(Path(folder) / "kuma.db", kit.known_kinds())),
        ]
        found = [figure for name, make in stores for figure in _figures(name, make, proxies)]
        if servers.binaries() is not None:
            server = servers.Server("fsync = on")
            found += _figures("postgres", lambda: server.new_database().store(kit.known_kinds()), proxies)
            server.close()
    return found


def _figures(name: str, make: Callable[[], Any], proxies: int) -> list[figures.Figure]:
    async def measured() -> dict[str, float]:
        return await measure(make(), proxies)  # a store begins its loops where it is made

    values = asyncio.run(measured())
    found = []
    for each in READS:
        found.append(figures.Figure(f"rest {name}: {each.name}", values[each.name], "ms", each.target, each.kuma))
        found.append(figures.Figure(f"rest {name}: {each.name}, first", values[f"{each.name}, first"], "ms"))
    crowd = figures.Figure(f"rest {name}: {READERS} readers", values["readers"], "/s", 100.0, 0.8, more_is_better=True)
    return [*found, crowd]


def main() -> None:
    """Prints the table, or (as the client) its figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxies", type=int, default=1_000)
    parser.add_argument("--client", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        print(json.dumps(read_all(options.client)), flush=True)
    else:
        print(figures.table(run(options.proxies)))


if __name__ == "__main__":
    main()
