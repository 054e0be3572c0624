"""A control plane and agents as real processes on free ports, for end-to-end tests. Everything ends with the block."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tests.kit import network

T = TypeVar("T")

PATIENCE = network.PATIENCE
free_port = network.free_port

_POLL = 0.02


def eventually(ask: Callable[[], T | None], what: str, patience: float = PATIENCE) -> T:
    """The first true answer; AssertionError naming `what` was awaited."""
    deadline = time.monotonic() + patience
    while True:
        answer = ask()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience:g} s: {what}")
        time.sleep(_POLL)


def script(name: str) -> str:
    """The installed console script."""
    return str(Path(sys.executable).with_name(name))


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid: int) -> dict[int, str]:
    """Processes that `pid` started, with the base names of their executables."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended while we looked
            if int((each / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found[int(each.name)] = os.path.basename(os.readlink(each / "exe"))
    return found


def get(url: str, timeout: float = 5.0) -> tuple[int, str]:
    """Status and body; status 0 where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


class Process:
    """One program with its output in a file."""

    def __init__(self, command: Sequence[str], output: Path, environ: Mapping[str, str]) -> None:
        self._output = output
        with output.open("ab") as file:
            self.popen = subprocess.Popen(
                command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=dict(environ), cwd=output.parent
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def output(self) -> str:
        return self._output.read_text(errors="replace")

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit code."""
        try:
            return self.popen.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"process did not end within {patience:g} s:\n{self.output[-3000:]}") from None

    def end(self) -> None:
        """Ends it whatever it does."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()

    def envoy(self) -> int:
        """The process id of the Envoy it runs, once there is one."""

        def running() -> int | None:
            return next((pid for pid, name in children_of(self.pid).items() if name == "envoy"), None)

        return eventually(running, f"Envoy of {self.pid}:\n{self.output[-2000:]}")


class ControlPlane:
    """A kuma-cp that can be killed and started again on the same ports and store."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.dp_port, self.api_port = free_port(), free_port()
        self._environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KUMA_")},
            "HOME": str(folder),
            "KUMA_API_SERVER_HTTP_PORT": str(self.api_port),
            "KUMA_API_SERVER_HTTPS_PORT": str(free_port()),
            "KUMA_DIAGNOSTICS_SERVER_PORT": str(free_port()),
            "KUMA_DP_SERVER_PORT": str(self.dp_port),
            "KUMA_STORE_SQLITE_PATH": str(folder / "kuma.db"),
            **environ,
        }
        self._process: Process | None = None

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def dp(self) -> str:
        return f"https://127.0.0.1:{self.dp_port}"

    @property
    def ca(self) -> Path:
        """The certificate that it made for itself."""
        return self.folder / ".kuma" / "kuma-cp.crt"

    @property
    def environ(self) -> dict[str, str]:
        return self._environ

    def start(self) -> None:
        """Returns once it answers and the default mesh is there."""
        self._process = Process([script("kuma-cp"), "run"], self.folder / "kuma-cp.log", self._environ)
        eventually(self._is_up, "control plane is up")

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.popen.poll() is None, f"kuma-cp ended:\n{self._process.output[-3000:]}"
        return get(f"{self.api}/meshes/default")[0] == 200

    def kill(self) -> None:
        """As by kill -9."""
        assert self._process is not None
        self._process.popen.kill()
        self._process.popen.wait()

    def end(self) -> None:
        if self._process is not None:
            self._process.end()

    def put(self, path: str, document: Mapping[str, Any]) -> None:
        """Writes a resource over REST."""
        self._send("PUT", path, document)

    def token(self, **wanted: Any) -> str:
        """A dataplane token."""
        return self._send("POST", "/tokens/dataplane", {"validFor": "1h", **wanted})

    def _send(self, method: str, path: str, document: Mapping[str, Any]) -> str:
        body, headers = json.dumps(document).encode(), {"content-type": "application/json"}
        request = urllib.request.Request(self.api + path, data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return str(answer.read().decode())

    def dataplane(self, name: str, mesh: str = "default") -> dict[str, Any] | None:
        """A Dataplane as REST shows it; None where there is none."""
        status, body = get(f"{self.api}/meshes/{mesh}/dataplanes/{name}")
        return json.loads(body) if status == 200 else None

    def is_online(self, name: str, mesh: str = "default") -> bool:
        """Whether the proxy has an open stream."""
        status, body = get(f"{self.api}/meshes/{mesh}/dataplanes/{name}/_overview")
        if status != 200:
            return False
        subscriptions = json.loads(body).get("dataplaneInsight", {}).get("subscriptions", [])
        return bool(subscriptions) and "disconnectTime" not in subscriptions[-1]


@contextlib.contextmanager
def control_plane(folder: Path, **environ: str) -> Iterator[ControlPlane]:
    """A running control plane with an empty store."""
    plane = ControlPlane(folder, **environ)
    try:
        plane.start()
        yield plane
    finally:
        plane.end()


class Agents:
    """Starts kuma-dp processes against one control plane."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._started: list[Process] = []

    def run(self, *arguments: str, ca: Path | None = None, **environ: str) -> Process:
        """`kuma-dp run` with a short drain time; `arguments` may repeat any flag."""
        plane = self._plane
        command = [script("kuma-dp"), "run", "--cp-address", plane.dp, "--cp-api-address", plane.api]
        command += ["--ca-cert-file", str(ca or plane.ca), "--drain-time", "1s", *arguments]
        output = plane.folder / f"agent-{len(list(plane.folder.glob('agent-*.log')))}.log"
        process = Process(command, output, {**plane.environ, **environ})
        self._started.append(process)
        return process

    def end(self) -> None:
        for each in self._started:
            each.end()


@contextlib.contextmanager
def agents(plane: ControlPlane) -> Iterator[Agents]:
    """Agents that end with the block."""
    running = Agents(plane)
    try:
        yield running
    finally:
        running.end()
