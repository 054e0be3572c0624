"""Metrics and access logs of the agent: `python -m bench.telemetry` prints CPU and memory for a scrape, and log lines a second.

The scrape is 2 MB of text as a busy Envoy has it: counters of 160 clusters, every third of them a subset of a service,
and histograms. Log lines go through a real FIFO to a receiver in this process, as fast as they come.
"""

import asyncio
import contextlib
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

from bench import exporter, figures
from kuma.apps.dataplane.access_log import AccessLogStreamer
from kuma.apps.dataplane.metrics import assembly, exposition, merging, profiles

SCRAPE_BUDGET = 150.0
LINES_BUDGET = 5_000.0
MEMORY_BUDGET = 40.0
LINES = 100_000
RUNS = 5

_BOUNDS = [
    "0.5",
    "1",
    "5",
    "10",
    "25",
    "50",
    "100",
    "250",
    "500",
    "1000",
    "2500",
    "5000",
    "10000",
    "30000",
    "60000",
    "300000",
    "600000",
    "1800000",
    "3600000",
    "+Inf",
]


def envoy_metrics(size: int = 2_000_000) -> str:
    """Text of at least this many bytes."""
    clusters = [f"service-{index}_default_svc_80" + f"-{index:016x}" * (index % 3 == 0) for index in range(160)]
    labels = [f'envoy_cluster_name="{each}"' for each in clusters]
    parts: list[str] = []
    length, family = 0, 0
    while length < size:
        if family % 40 == 0:
            name = f"envoy_cluster_upstream_rq_time_{family}"
            lines = [f"# TYPE {name} histogram"]
            for each in labels:
                lines += [f'{name}_bucket{{{each},le="{bound}"}} {family}' for bound in _BOUNDS]
                lines += [f"{name}_sum{{{each}}} 12.5", f"{name}_count{{{each}}} {family}"]
        else:
            name = f"envoy_cluster_upstream_cx_{family}_total"
            lines = [f"# TYPE {name} counter", *(f"{name}{{{each}}} {family * 1009}" for each in labels)]
        text = "\n".join(lines) + "\n"
        parts.append(text)
        length, family = length + len(text), family + 1
    return "".join(parts)


def merge(text: str) -> None:
    """The answer for the Prometheus backend of a Mesh."""
    families = exposition.parse(text)
    merging.merge_clusters(families)
    exposition.render(families.values())


def cpu(work: Callable[[], object]) -> float:
    """Milliseconds of CPU, the best of some runs."""

    def once() -> float:
        begin = time.process_time()
        work()
        return (time.process_time() - begin) * 1000

    return min(once() for _ in range(RUNS))


async def log_lines() -> tuple[float, int]:
    """Lines a second from the FIFO to a receiver, and how many were lost."""
    received = 0
    done = asyncio.Event()

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while part := await reader.read(65536):
            received += part.count(b"\n")
            if received >= LINES:
                done.set()
        writer.close()

    streamer = AccessLogStreamer()
    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "kuma-al.sock"))
        async with await asyncio.start_server(receive, "127.0.0.1", 0) as server:
            working = asyncio.ensure_future(streamer.run(path))
            await asyncio.sleep(0)
            line = b"127.0.0.1:%d;%s\n" % (server.sockets[0].getsockname()[1], b"x" * 300)
            begin = time.perf_counter()
            await asyncio.to_thread(_write, path, line)
            with contextlib.suppress(TimeoutError):  # lines were lost
                await asyncio.wait_for(done.wait(), 30)
            taken = time.perf_counter() - begin
            working.cancel()
            await asyncio.wait([working])
    return LINES / taken, LINES - received


def _write(path: str, line: bytes) -> None:
    """What Envoy does: it waits where the pipe is full."""
    with open(path, "wb", buffering=0) as fifo:
        for _ in range(LINES // 100):
            os.write(fifo.fileno(), line * 100)


async def export_memory(text: str) -> float:
    """MB of an agent at the peak of exports to a collector, in a process of its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + text.encode())
        writer.close()

    with tempfile.TemporaryDirectory() as folder:
        socket = str(pathlib.Path(folder, "admin.sock"))
        async with await asyncio.start_unix_server(serve, socket):
            command = [sys.executable, "-m", "bench.exporter", socket]
            child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            said, _ = await child.communicate()
    return float(said)


def run() -> list[figures.Figure]:
    """CPU of the three answers to a scrape, and the pace of access logs."""
    text = envoy_metrics()
    everything = assembly.Texts(text, [], profiles.Profiles(("All",)), exporter.LABELS)
    pace, lost = asyncio.run(log_lines())
    memory = asyncio.run(export_memory(text))
    return [
        figures.Figure("kuma-dp: 2 MB of Envoy's metrics merged, CPU", cpu(lambda: merge(text)), "ms", SCRAPE_BUDGET),
        figures.Figure(
            "kuma-dp: the same for a MeshMetric", cpu(lambda: assembly.as_text(everything)), "ms", SCRAPE_BUDGET
        ),
        figures.Figure("kuma-dp: the same as OTLP", cpu(lambda: list(assembly.as_requests(everything, 0))), "ms"),
        figures.Figure("kuma-dp: memory at the peak of that", memory, "MB", MEMORY_BUDGET),
        figures.Figure("kuma-dp: access log lines a second", pace, "", LINES_BUDGET, more_is_better=True),
        figures.Figure("kuma-dp: access log lines lost", lost, ""),
    ]


if __name__ == "__main__":
    print(figures.table(run()))
