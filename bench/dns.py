"""Speed and size of the agent's DNS server: `python -m bench.dns`. Needs `dnsperf` (Debian's package of that name).

The server runs on the first core, dnsperf on the second, with 100 names of the mesh. Rates are questions for each
second of the server's CPU, so that other work on the machine does not count; times are dnsperf's, from sent to
received, at a steady rate and with real-time priority where that is allowed, for the same reason.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence

from bench import figures
from kuma.apps.dataplane.dns import listening, server, upstream

NAMES = 100
SECONDS = 4
STEADY_RATE = 10_000
RATE_TARGET = 20_000
P99_TARGET = 1.0
RSS_TARGET = 40.0


def serve(port: int, name_server: str) -> None:
    """The server process: with names of its own, or with a name server to ask and none."""
    udp, tcp = listening.bind("127.0.0.1", port)
    servers = [("127.0.0.1", int(name_server))] if name_server else []
    records = [
        {"name": f"svc-{each}.mesh", "ips": [f"240.0.0.{each}", f"::ffff:f000:{each:x}"]} for each in range(NAMES)
    ]

    async def run() -> None:
        made = server.Server([udp], [tcp], upstream.Resolver(lambda: servers))
        made.take(json.dumps({"records": [] if name_server else records}).encode())
        print("ready", flush=True)
        await made.run()

    asyncio.run(run())


@contextlib.contextmanager
def server_process(core: int, name_server: str = "") -> Iterator[tuple[int, int]]:
    """Process id and port of a server on a core of its own."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.dns", "serve", str(port), name_server]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.sched_setaffinity(process.pid, {core})
        try:
            yield process.pid, port
        finally:
            process.terminate()


def ask(port: int, questions: pathlib.Path, *more: str, before: Callable[[], None]) -> list[str]:
    """What dnsperf says after asking for a while; `before` is called in its process."""
    command = ["dnsperf", "-p", str(port), "-d", str(questions), "-l", str(SECONDS), "-c", "10", "-q", "20", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=True, preexec_fn=before)
    return done.stdout.splitlines()


def _on_the_last_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _first_in_line() -> None:
    _on_the_last_core()
    put_first(0)


def put_first(pid: int) -> None:
    """Has the kernel run a process before all others, where we may; not for one that never rests."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(5))


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def answered(lines: Sequence[str]) -> int:
    """How many questions were answered; SystemExit where one was not, or not well."""
    found = next(line.split()[2] for line in lines if "Queries completed:" in line)
    if not any("Response codes" in line and "NOERROR" in line and "(100.00%)" in line for line in lines):
        raise SystemExit("\n".join(lines))
    return int(found)


def rate(pid: int, port: int, questions: pathlib.Path) -> float:
    """Questions for each second of CPU."""
    before = cpu_seconds(pid)
    return answered(ask(port, questions, before=_on_the_last_core)) / (cpu_seconds(pid) - before)


def run() -> list[figures.Figure]:
    """Rates, the time of an answer and the size of the server; nothing without dnsperf."""
    from bench import agent  # here: it brings a control plane along, which would count as part of the server

    if shutil.which("dnsperf") is None:
        print("dns: left out, there is no dnsperf")
        return []
    with tempfile.TemporaryDirectory() as folder:
        questions = pathlib.Path(folder) / "questions"
        questions.write_text("".join(f"svc-{each}.mesh {kind}\n" for each in range(NAMES) for kind in ("A", "AAAA")))
        with server_process(0) as (pid, port):
            known = rate(pid, port, questions)
            size = agent.sizes(pid)["VmRSS"]
            with server_process(0, str(port)) as (passing, its_port):
                os.sched_setaffinity(pid, {max(os.sched_getaffinity(0))})
                passed = rate(passing, its_port, questions)
            os.sched_setaffinity(pid, {0})
            put_first(pid)
            lines = ask(port, questions, "-Q", str(STEADY_RATE), "-v", before=_first_in_line)
            times = [float(line.split()[-1]) for line in lines if line.startswith("> ")]
    return [
        figures.Figure("dns: names of the mesh", known, "/CPU s", RATE_TARGET, more_is_better=True),
        figures.Figure("dns: p50 at 10,000/s", figures.percentile(times, 0.5) * 1000, "ms"),
        figures.Figure("dns: p99 at 10,000/s", figures.percentile(times, 0.99) * 1000, "ms", P99_TARGET),
        figures.Figure("dns: passed on", passed, "/CPU s", more_is_better=True),
        figures.Figure("dns: RSS of the server alone", size, "MB", RSS_TARGET),
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(int(sys.argv[2]), sys.argv[3])
    else:
        print(figures.table(run()))
