"""Programs to measure: the real ones, on free ports and chosen cores; the control plane's REST API; what they consume."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds after which something that should happen is taken not to happen."""


def cores() -> list[int]:
    """The cores this process may use. Where there is one alone it serves both sides, and the figures suffer."""
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def pinned(chosen: Sequence[int]) -> Iterator[None]:
    """What is started within runs on these cores, as does this process until the end of the block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def until(is_so: Callable[[], bool], what: str) -> None:
    """Waits; SystemExit naming `what` where it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.01)


def free_port(address: str = "127.0.0.1") -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        return int(probe.getsockname()[1])


def script(name: str) -> str:
    """One of our programs, as installed beside this Python."""
    return str(Path(sys.executable).with_name(name))


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used so far: CPU seconds of both kinds, and MB resident now."""

    cpu: float
    rss: float


def usage(pid: int) -> Usage:
    """As `/proc` says at this moment."""
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert resident is not None
    return Usage((int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK"), int(resident[1]) / 1024)


@contextlib.contextmanager
def program(command: Sequence[str], log: Path, environ: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """Runs a program with its output in a file, and ends it with the block."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KUMA_")}
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**clean, **environ}, cwd=log.parent)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Rest:
    """The REST API over one connection that stays open, so that a call costs little but the call."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def put(self, path: str, document: Mapping[str, Any]) -> None:
        """Writes a resource; SystemExit with the answer where it is refused."""
        self._send("PUT", path, json.dumps(document))

    def delete(self, path: str) -> None:
        """Removes a resource; SystemExit where that is refused."""
        self._send("DELETE", path, None)

    def _send(self, method: str, path: str, body: str | None) -> None:
        self._connection.request(method, path, body, {"content-type": "application/json"} if body else {})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text.decode(errors='replace')}")


@dataclass(frozen=True, slots=True)
class Plane:
    """A running control plane."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    dp_port: int
    rest: Rest

    @property
    def usage(self) -> Usage:
        """What it has used so far."""
        return usage(self.process.pid)

    @property
    def ca_file(self) -> Path:
        """The certificate that its data plane port shows."""
        return self.folder / "kuma-cp.crt"


@contextlib.contextmanager
def control_plane(on: Sequence[int], **settings: str) -> Iterator[Plane]:
    """A control plane with an empty store and no authentication of proxies, on the cores `on`.

    `settings` are environment variables without their `KUMA_`.
    """
    with tempfile.TemporaryDirectory(prefix="kuma-bench-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        api, dp, diagnostics = free_port(), free_port(), free_port()
        environ = {
            "KUMA_GENERAL_WORK_DIR": name,
            "KUMA_STORE_SQLITE_PATH": str(folder / "kuma.db"),
            "KUMA_API_SERVER_HTTP_INTERFACE": "127.0.0.1",
            "KUMA_API_SERVER_HTTP_PORT": str(api),
            "KUMA_API_SERVER_HTTPS_ENABLED": "false",
            "KUMA_DP_SERVER_PORT": str(dp),
            "KUMA_DP_SERVER_AUTHN_DP_PROXY_TYPE": "none",
            "KUMA_DIAGNOSTICS_SERVER_PORT": str(diagnostics),
        } | {f"KUMA_{key}": value for key, value in settings.items()}
        with pinned(on):
            log = folder / "kuma-cp.log"
            process = stack.enter_context(program([script("kuma-cp"), "run"], log, environ))

        def is_ready() -> bool:
            if process.poll() is not None:
                raise SystemExit(f"kuma-cp ended:\n{log.read_text()[-3000:]}")
            return _status(diagnostics, "/ready") == 200 and _status(api, "/meshes/default") == 200

        until(is_ready, "control plane is ready")
        yield Plane(process, folder, dp, Rest(api))


def _status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()
