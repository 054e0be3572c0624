"""`kumactl demo` on real parts: the page, the suggested commands, a second run, signals, and nothing left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kuma.apps.demo import ports, rest

pytestmark = pytest.mark.e2e
PATIENCE = 60.0


class Run:
    """One run of the demo in a folder, with ports of its own."""

    def __init__(self, folder: Path) -> None:
        page, api, https, dp, diagnostics = ports.free_ports(5, [])
        self.page, self.folder = page, folder
        flags = {"page": page, "api": api, "api-https": https, "dp": dp, "diagnostics": diagnostics}
        self.command = [sys.executable, "-m", "kuma.apps.kumactl.main", "demo"]
        self.command += [f"--{name}-port={port}" for name, port in flags.items()]
        self.out = folder / "out.txt"
        environment = os.environ | {"HOME": str(folder)}
        with self.out.open("wb") as out, (folder / "err.txt").open("ab") as err:
            self.process = subprocess.Popen(self.command, cwd=folder, stdout=out, stderr=err, env=environment)

    def text(self) -> str:
        return self.out.read_text()

    def until(self, is_so: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_so():
            assert self.process.poll() is None, f"the demo ended: {(self.folder / 'err.txt').read_text()}"
            assert time.monotonic() < deadline, f"waited for {what}; output so far:\n{self.text()}"
            os.sched_yield()
            self.process_wait(0.05)

    def process_wait(self, seconds: float) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return

    def until_said(self, pattern: str) -> None:
        self.until(lambda: re.search(pattern, self.text(), re.MULTILINE) is not None, pattern)

    def suggested(self) -> list[str]:
        return [line.strip() for line in self.text().splitlines() if re.match(r"  [^# ]", line)]

    def shell(self, command: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"HOME": str(self.folder)}
        return subprocess.run(command, shell=True, cwd=self.folder, capture_output=True, text=True, env=environment)


def family(pid: int) -> set[int]:
    """A process and all its descendants."""
    children: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        children |= {int(each) for each in task.read_text().split()}
    return {pid}.union(*(family(child) for child in children))


def alive(pids: set[int]) -> set[int]:
    found = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if state != "Z":
            found.add(pid)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Run]]:
    runs: list[Run] = []

    def begin() -> Run:
        runs.append(Run(tmp_path))
        return runs[-1]

    yield begin
    for each in runs:
        if each.process.poll() is None:
            each.process.terminate()
            each.process.wait(PATIENCE)


def test_the_page_answers_and_every_suggested_command_does_what_it_says(start: Callable[[], Run]) -> None:
    demo = start()
    demo.until_said("After each change")
    lines = demo.text().splitlines()
    assert lines[0] == f"Page: http://127.0.0.1:{demo.page}"
    assert lines[1].startswith("API: http://127.0.0.1:")
    assert lines[2] == "Page answers 200"
    commands = demo.suggested()
    assert len(commands) == 5
    outcomes = (
        "", "",
        r"^MeshTrafficPermission web-to-api deleted: page now answers 403: web was refused by api \(RBAC: access denied\)",
        r"^MeshTrafficPermission api-to-counter deleted: page still answers 403",
        r"^After 2 changes \(.*MeshTrafficPermission web-to-api created\): page now answers 200",
    )  # fmt: skip
    for command, said in zip(commands, outcomes, strict=True):
        done = demo.shell(command)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout
        if said:
            demo.until_said(said)
    demo.until(lambda: rest.ask(demo.page, "GET", "/")[0] == 200, "the page")


def test_a_second_run_finds_what_the_first_left_and_says_why_the_page_is_refused(start: Callable[[], Run]) -> None:
    first = start()
    first.until_said("After each change")
    deletion = next(each for each in first.suggested() if "api-to-counter" in each)
    assert first.shell(deletion).returncode == 0
    first.until_said("api-to-counter deleted: page now answers 403")
    everybody = family(first.process.pid)
    assert len(everybody) >= 11  # the demo, the control plane, three agents, three Envoys, three services
    first.process.send_signal(signal.SIGINT)
    assert first.process.wait(PATIENCE) == 0
    assert not alive(everybody)
    second = start()
    second.until_said("After each change")
    assert second.text().splitlines()[2] == "Page answers 403: api was refused by counter (RBAC: access denied)"
    assert rest.ask(second.page, "GET", "/")[0] == 403


def test_nobody_outlives_a_demo_that_was_killed(start: Callable[[], Run]) -> None:
    demo = start()
    demo.until_said("After each change")
    everybody = family(demo.process.pid)
    demo.process.kill()
    demo.process.wait(PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while alive(everybody):
        assert time.monotonic() < deadline, f"still there: {alive(everybody)}"
        demo.process_wait(0.05)
        os.sched_yield()


def test_the_page_outlives_the_control_plane(start: Callable[[], Run]) -> None:
    demo = start()
    demo.until_said("After each change")
    children = Path(f"/proc/{demo.process.pid}/task/{demo.process.pid}/children").read_text().split()
    planes = [int(pid) for pid in children if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"\0run\0")]
    assert len(planes) == 1
    os.kill(planes[0], signal.SIGKILL)
    demo.until_said(r"^Control plane ended \(-9\) and is started again: page still answers 200")
    demo.until_said(r"^Control plane answers again: page still answers 200")
