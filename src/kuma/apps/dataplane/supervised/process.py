"""A child process that never outlives the agent.

It leads its own process group, so a Ctrl-C in the terminal reaches it only when the agent passes it on, and the
kernel ends it when the agent dies without a chance to clean up.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence

KILL_AFTER = 5.0
"""Seconds between a polite request to end and SIGKILL."""

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 8192
_LINE_LIMIT = 65536


class _Relay(asyncio.Protocol):
    """Copies the lines of a pipe that `passes` lets through to our standard error, and remembers the end of all."""

    def __init__(self, passes: Callable[[bytes], bool]) -> None:
        self.tail = b""
        self._passes = passes
        self._rest = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, part: bytes) -> None:
        self.tail = (self.tail + part)[-_TAIL_BYTES:]
        *lines, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > _LINE_LIMIT:
            lines, self._rest = [*lines, self._rest], b""
        self._copy(lines)

    def _copy(self, lines: Sequence[bytes]) -> None:
        shown = b"".join(line + b"\n" for line in lines if self._passes(line))
        with contextlib.suppress(OSError):  # nobody reads our standard error any more
            sys.stderr.buffer.write(shown)
            sys.stderr.buffer.flush()

    def connection_lost(self, _: Exception | None) -> None:
        if self._rest:
            self._copy([self._rest])
        if not self.ended.done():
            self.ended.set_result(None)


class Child:
    """One running process."""

    def __init__(self, process: subprocess.Popen[bytes], relay: _Relay | None) -> None:
        self._process = process
        self._relay = relay
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._watch()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ended.done()

    async def wait(self) -> int:
        """Its exit code once it has ended; minus the number of the signal that ended it."""
        code = await asyncio.shield(self._ended)
        if self._relay is not None:
            # A grandchild may hold the pipe open for ever; what counts has been read by then.
            await asyncio.wait([self._relay.ended], timeout=1.0)
        return code

    def send_signal(self, number: int) -> None:
        """Signals its whole process group."""
        with contextlib.suppress(ProcessLookupError):  # it ended in this moment
            os.killpg(self._process.pid, number)

    async def stop(self, grace: float = KILL_AFTER) -> int:
        """Ends it, by force after `grace` seconds; its exit code."""
        if self.is_running:
            self.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    return await self.wait()
            self.send_signal(signal.SIGKILL)
        return await self.wait()

    def last_words(self, lines: int = 5) -> str:
        """The last lines of its standard error, where that is relayed."""
        kept = self._relay.tail.decode(errors="replace").strip().splitlines() if self._relay else []
        return "\n".join(kept[-lines:])

    def _watch(self) -> None:
        """Completes `_ended`. A process descriptor costs neither a thread nor a handler of SIGCHLD (Linux 5.3)."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = os.pidfd_open(self._process.pid)
        except (AttributeError, OSError):
            waiting = loop.run_in_executor(None, self._process.wait)
            waiting.add_done_callback(lambda done: self._finish(done.result()))
            return

        def ended() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            self._finish(self._process.wait())

        loop.add_reader(descriptor, ended)

    def _finish(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)


async def start_child(
    arguments: Sequence[str], *, passes: Callable[[bytes], bool] | None = None, death_signal: int = signal.SIGKILL
) -> Child:
    """Starts a process; OSError where its executable cannot be run.

    With `passes`, its standard error goes through us: `passes` says which lines go on, the last words are kept.

    Must be called on the main thread: the kernel's death signal follows the thread that forks.
    """
    process = _spawn(arguments, passes is not None, death_signal)
    if process.stderr is None or passes is None:
        return Child(process, None)
    _, relay = await asyncio.get_running_loop().connect_read_pipe(lambda: _Relay(passes), process.stderr)
    return Child(process, relay)


def _spawn(arguments: Sequence[str], relayed: bool, death_signal: int) -> subprocess.Popen[bytes]:
    # A terminal is not handed on as standard input: a process in its background would be stopped when it reads.
    return subprocess.Popen(
        arguments,
        stdin=subprocess.DEVNULL if sys.stdin is None or sys.stdin.isatty() else None,
        stderr=subprocess.PIPE if relayed else None,
        process_group=0,
        preexec_fn=_dies_with_parent(death_signal),
    )


def _dies_with_parent(number: int) -> Callable[[], None] | None:
    """What the child does between fork and exec. Everything is looked up before, so it only calls the kernel."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(1)

    return ask_kernel
