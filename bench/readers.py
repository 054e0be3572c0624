"""Are proxies served without a pause while many read long lists? `python -m bench.readers [--proxies N] [--rounds N]`

The real `kuma-cp` (memory store, mutual TLS) on the first core with 1,000 Dataplanes of 100 outbounds each, and on the
last one a proxy's stream and a process of 50 readers. Time runs from the moment before the REST call that moves an
endpoint until the proxy's stream has it: without readers, with readers of pages of 100, and with readers of all 1,000.
The call stands in line with the readers' calls, so its wait is in the figure.
"""

import argparse
import asyncio
import contextlib
import http.client
import itertools
import os
import statistics
import sys
import threading
from collections.abc import Iterator

import uvloop

from bench import envoys, figures, planes, xds
from kuma.discovery import resources

READERS, ROUNDS = 50, 20
WORST_MS = 100.0
NICE = 10
"""How far the readers stand back for the process that measures, with which they share a core."""
SIZES = (0, 100, 1_000)
PATH = "/meshes/default/dataplanes"


def read(port: int, size: int) -> None:
    """The readers: never ends. Says so once each has read a page."""
    os.nice(NICE)
    first = threading.Barrier(READERS + 1)
    for number in range(READERS):
        threading.Thread(target=_read_on, args=(port, size, number, first), daemon=True).start()
    first.wait()
    print("reading", flush=True)
    threading.Event().wait()


def _read_on(port: int, size: int, number: int, first: threading.Barrier) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    buffer = bytearray(1 << 20)
    for page in itertools.count(number):
        connection.request("GET", f"{PATH}?size={size}&offset={page * size % 1_000}")
        answer = connection.getresponse()
        while answer.readinto(buffer):
            continue
        if answer.status != 200:
            raise SystemExit(f"a page was answered with {answer.status}")
        if page == number:
            first.wait()


@contextlib.contextmanager
def reading(plane: planes.Plane, size: int) -> Iterator[None]:
    """The readers at work within the block; nobody for a size of 0."""
    if not size:
        yield
        return
    log = plane.folder / f"readers-{size}.log"
    command = [sys.executable, "-m", "bench.readers", "--read", str(plane.rest.port), "--size", str(size)]
    with planes.program(command, log, {}) as process:
        planes.until(lambda: process.poll() is not None or "reading" in log.read_text(), "every reader has read a page")
        yield
        if process.poll() is not None:
            raise SystemExit(f"the readers ended:\n{log.read_text()[-3000:]}")


def change(step: int) -> xds.Change:
    """A Dataplane of the proxy's first destination moves to an address that nobody had before."""
    address = f"10.200.{step // 250}.{step % 250 + 1}"
    document = xds.dataplane(xds.SERVICES, address)
    return xds.Change(f"{PATH}/{document['name']}", document, resources.ENDPOINT, address.encode())


async def measure(plane: planes.Plane, proxies: int, rounds: int) -> dict[int, list[float]]:
    """Milliseconds of every round, by the size of the pages that are read meanwhile."""
    await asyncio.to_thread(xds.fill, plane.rest, proxies)
    crowd = envoys.Crowd(envoys.Variant(delta=True), "default", with_secrets=True)
    await xds.configure(crowd, plane.dp_port, 1)
    steps, found = itertools.count(), {}
    for size in SIZES:
        with reading(plane, size):
            delays = [await xds.spread(crowd, plane.rest, change(next(steps))) for _ in range(rounds)]
        found[size] = [each for (each,) in delays]
    crowd.close()
    return found


def run(proxies: int = 1_000, rounds: int = ROUNDS) -> list[figures.Figure]:
    """Least, median and most of each, and how many times the quiet median it is."""
    available = planes.cores()
    with planes.control_plane(available[:1], STORE_TYPE="memory") as plane, planes.pinned(available[-1:]):
        found = uvloop.run(measure(plane, proxies, rounds))
    out = []
    for size, delays in found.items():
        name = f"readers: {READERS} of {size:,}" if size else "readers: none"
        middle = statistics.median(delays)
        out.append(figures.Figure(f"{name}, min", min(delays), "ms"))
        out.append(figures.Figure(f"{name}, median", middle, "ms"))
        out.append(figures.Figure(f"{name}, max", max(delays), "ms", WORST_MS))
        if size:
            out.append(figures.Figure(f"{name}, times the quiet median", middle / statistics.median(found[0]), "x"))
    return out


def main() -> None:
    """Prints the table, or reads until it is ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proxies", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--read", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, default=100, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options.read, options.size)
    else:
        print(figures.table(run(options.proxies, options.rounds)))


if __name__ == "__main__":
    main()
