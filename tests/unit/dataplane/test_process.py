"""Child processes: exit codes, signals, last words, and that none outlives its parent."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.supervised import process, supervision


async def start(script: str, **options: bool) -> process.Child:
    return await process.start_child(["/bin/sh", "-c", script], **options)  # type: ignore[arg-type]  # options are bools


@pytest.mark.parametrize(("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9)])
async def test_exit_codes(script: str, code: int) -> None:
    assert await (await start(script)).wait() == code


async def test_last_words_are_kept_and_passed_on(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    child = await start("for i in 1 2 3 4 5 6 7; do echo line $i >&2; done; exit 3", passes=lambda line: True)

    assert await child.wait() == 3
    assert child.last_words(2) == "line 6\nline 7"
    assert b"line 1\n" in capfdbinary.readouterr().err


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    """A FIFO: reading it waits for the child to say something."""
    path = tmp_path / "heard"
    os.mkfifo(path)
    return path


async def test_stop_is_polite_first(heard: Path) -> None:
    child = await start(f"trap 'exit 5' TERM; echo up > {heard}; while :; do sleep 0.01; done")
    await asyncio.to_thread(heard.read_text)

    assert await child.stop() == 5


async def test_stop_is_firm_in_the_end(heard: Path) -> None:
    child = await start(f"trap '' TERM; echo up > {heard}; while :; do sleep 0.01; done")
    await asyncio.to_thread(heard.read_text)

    assert await child.stop(grace=0.2) == -signal.SIGKILL
    assert not child.is_running


async def test_signals_reach_the_whole_group() -> None:
    child = await start("sleep 100 & wait")

    child.send_signal(signal.SIGKILL)

    assert await child.wait() == -signal.SIGKILL


def test_children_die_with_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import asyncio\n"
        "from kuma.apps.dataplane.supervised import process\n"
        "async def main():\n"
        "    child = await process.start_child(['sleep', '100'])\n"
        "    print(child.pid, flush=True)\n"
        "    await child.wait()\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    deadline = time.monotonic() + 10
    while _is_alive(child) and time.monotonic() < deadline:
        os.sched_yield()
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def keeper(script: str, *, restart: bool) -> supervision.EnvoyKeeper:
    return supervision.EnvoyKeeper(["/bin/sh", "-c", script], "", restart, 0.01, 0.02, lambda line: True)


async def test_the_end_of_envoy_is_reported_with_its_last_words() -> None:
    with pytest.raises(AgentError) as ended:
        await keeper("echo broken config >&2; exit 1", restart=False).run()
    assert str(ended.value) == "Envoy ended with exit code 1; its last words:\nbroken config"


async def test_envoy_is_restarted_where_asked(tmp_path: Path, heard: Path) -> None:
    runs = tmp_path / "runs"
    script = f"echo x >> {runs}; [ $(wc -l < {runs}) -ge 3 ] && echo third > {heard} && exec sleep 100; exit 1"
    kept = keeper(script, restart=True)
    life = asyncio.ensure_future(kept.run())

    async with asyncio.timeout(10):
        assert await asyncio.to_thread(heard.read_text) == "third\n"
        await kept.stop()
        await life
    assert runs.read_text() == "x\n" * 3


async def test_a_missing_executable_is_named() -> None:
    with pytest.raises(AgentError, match=r"could not start Envoy \(/absent\)"):
        await supervision.EnvoyKeeper(["/absent"], "", True, 1, 1, lambda line: True).run()
