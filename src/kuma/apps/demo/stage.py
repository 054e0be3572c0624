"""Runs the demo: brings everything up, tells what changes do to the page, and takes everything down again.

One thread, no event loop: a few programs to start and one page to watch. Whatever people need is printed on standard
output; what happens on the way goes to standard error.
"""

import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from kuma.apps.demo import cast, ports, resources, rest, watching
from kuma.apps.demo.processes import Child, end_all
from kuma.apps.demo.settings import Settings

READY_SECONDS = 40.0
FORBIDDEN_SECONDS = 3.0
"""How long a page that starts with a refusal may take to get better: proxies learn of permissions in moments."""
STEP = 0.05
WATCH_SECONDS = 0.5
SETTLE_SECONDS = 2.0
"""How long after a change the page is watched for a difference."""
END_SECONDS = 8.0
MOST_ROUNDS = 5
"""How often changes in a row are waited for before they are told."""

PageState = tuple[int, str]


class Ended(Exception):
    """A signal asked the demo to end."""


class Failed(Exception):
    """The demo cannot go on; the text says why and what to do."""


class Stage:
    """One run of the demo."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ending = threading.Event()
        self._control_plane: Child | None = None
        self._sidecars: dict[str, Child] = {}
        self._reported: set[int] = set()

    def run(self) -> None:
        """Lives until a signal comes; Failed where it cannot be."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._ending.set())
        with self._only_one():
            try:
                self._bring_up()
                self._tell_what_happens()
            except Ended:
                note("ending")
            finally:
                self._take_down()

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        """Holds the state folder, so that two runs do not share one database."""
        state = self._settings.state_dir
        try:
            (state / "logs").mkdir(parents=True, exist_ok=True)
            lock = (state / "lock").open("w")
        except OSError as problem:
            raise Failed(f"cannot use {state}: {problem.strerror}; choose another folder with --state-dir") from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Failed(f"another demo runs on {state}; choose another folder with --state-dir") from None
            if self._settings.fresh:
                forget(state)
            yield

    def _bring_up(self) -> None:
        taken = ports.complaints(self._settings.named_ports())
        if taken:
            raise Failed("\n".join(taken))
        began = time.monotonic()
        self._start_control_plane()
        self._until("the control plane", self._control_plane_is_ready)
        note(f"control plane ready after {time.monotonic() - began:.1f} s")
        is_new = self._set_up_mesh()
        self._start_services()
        state = self._first_page_state(is_new)
        note(f"everything up after {time.monotonic() - began:.1f} s")
        self._introduce(state)

    def _start_control_plane(self) -> None:
        environment = cast.control_plane_environment(self._settings)
        log = self._settings.state_dir / "logs" / "kuma-cp.log"
        self._control_plane = Child("kuma-cp", cast.control_plane_command(), environment, log)

    def _control_plane_is_ready(self) -> bool:
        try:
            ready, _ = rest.ask(self._settings.diagnostics_port, "GET", "/ready")
            status, _ = rest.ask(self._settings.api_port, "GET", f"/meshes/{resources.MESH}")
        except rest.NoAnswer:
            return False
        return (ready, status) == (200, 200)

    def _set_up_mesh(self) -> bool:
        """Writes mesh and permissions, unless an earlier run did; whether this is the first one.

        The mesh comes last, so that a run that was interrupted here is completed by the next.
        """
        _, mesh = rest.ask(self._settings.api_port, "GET", f"/meshes/{resources.MESH}")
        write_examples(self._settings.state_dir)
        if resources.is_set_up(mesh):
            note(f"found the resources of an earlier run in {self._settings.state_dir}")
            return False
        for each in resources.permissions():
            self._put(f"/meshes/{resources.MESH}/meshtrafficpermissions/{each['name']}", each)
        self._put(f"/meshes/{resources.MESH}", resources.with_mtls(mesh))
        return True

    def _put(self, path: str, body: dict[str, Any]) -> None:
        status, answer = rest.ask(self._settings.api_port, "PUT", path, body)
        if status not in (200, 201):
            raise Failed(f"the control plane refused {path}: {answer}")

    def _start_services(self) -> None:
        wanted = [each.port for each in self._settings.named_ports()]
        for service in cast.services(self._settings.page_port, ports.free_ports(4, wanted)):
            token = self._settings.state_dir / f"{service.name}.token"
            write_secret(token, self._token(service.name))
            command = cast.sidecar_command(service, self._settings, token)
            environment = cast.service_environment(service, self._settings)
            log = self._settings.state_dir / "logs" / f"{service.name}.log"
            self._sidecars[service.name] = Child(service.name, command, environment, log)

    def _token(self, name: str) -> str:
        tags = {"kuma.io/service": [name]}
        wanted = {"name": name, "mesh": resources.MESH, "tags": tags, "validFor": cast.TOKEN_LIFETIME}
        status, token = rest.ask(self._settings.api_port, "POST", "/tokens/dataplane", wanted)
        if status != 200 or not isinstance(token, str):
            raise Failed(f"the control plane gave no token for {name}: status {status}")
        return token

    def _until(self, what: str, is_so: Callable[[], bool]) -> None:
        """Waits; Failed after READY_SECONDS or when a program ended, Ended when a signal came."""
        deadline = time.monotonic() + READY_SECONDS
        while not is_so():
            self._fail_on_dead()
            if time.monotonic() > deadline:
                raise Failed(
                    f"{what} did not come up within {READY_SECONDS:.0f} s; see {self._settings.state_dir}/logs"
                )
            self._pause(STEP)

    def _fail_on_dead(self) -> None:
        for each in self._children():
            if each.exit_code is not None:
                raise Failed(f"{each.name} ended with {each.exit_code} ({each.log}):\n{each.last_words()}")

    def _first_page_state(self, is_new: bool) -> tuple[int, str]:
        """What the page answers once it is settled: 200, or what yesterday's resources make of it."""
        seen = (0, "")
        refused_since = 0.0

        def settled() -> bool:
            nonlocal seen, refused_since
            seen = watching.page_state(self._settings.page_port)
            if seen[0] in (403, 502) and not is_new:
                refused_since = refused_since or time.monotonic()
                return time.monotonic() - refused_since > FORBIDDEN_SECONDS
            refused_since = 0.0
            return seen[0] == 200

        try:
            self._until("the page", settled)
        except Failed:
            if not seen[0] or any(each.exit_code is not None for each in self._children()):
                raise
        return seen

    def _introduce(self, state: tuple[int, str]) -> None:
        say(f"Page: {self._settings.page_url}")
        say(f"API: {self._settings.api_url}")
        say(watching.page_text(state, "now").replace("page now", "Page", 1))
        say("")
        say("Try in another terminal:")
        folder = self._settings.state_dir
        for text, arguments in (
            ("who is in the mesh, with certificates and versions", "inspect dataplanes"),
            ("the configuration of a proxy", "inspect dataplane web --type=config-dump"),
            ("web may no longer call api: look at the page", "delete meshtrafficpermission web-to-api"),
            ("api may no longer call counter", "delete meshtrafficpermission api-to-counter"),
            ("put both permissions back", f"apply -f {folder}/permissions.yaml"),
        ):
            say(f"  # {text}")
            say(f"  {kumactl(self._settings)} {arguments}")
        say("")
        say("Ctrl-C ends it. After each change, what happened:")

    def _tell_what_happens(self) -> None:
        watcher = watching.Watcher(self._settings.api_port)
        before = watching.page_state(self._settings.page_port)
        was_away = False
        while True:
            self._look_after_children()
            # The page first: whatever it shows already, the resources that made it so are in the picture taken next.
            now = watching.page_state(self._settings.page_port)
            changes = self._changes(watcher)
            if changes:
                changes, now = self._settled(watcher, changes, now, before)
                say(watching.changes_text(changes, now, "still" if now == before else "now"))
            if changes is not None and was_away:
                say("Control plane answers again: " + watching.page_text(now, "still" if now == before else "now"))
            elif not changes and now != before:
                text = watching.page_text(now, "now")
                say(text[:1].upper() + text[1:])
            was_away = changes is None
            before = now
            self._pause(WATCH_SECONDS)

    def _changes(self, watcher: watching.Watcher) -> list[watching.Change] | None:
        """What changed; None while the control plane is away."""
        try:
            return watcher.changes()
        except rest.NoAnswer:
            return None

    def _settled(
        self, watcher: watching.Watcher, changes: list[watching.Change], now: PageState, before: PageState
    ) -> tuple[list[watching.Change], PageState]:
        """Waits for what changes do to the page: the changes, with those that came meanwhile, and the page.

        A later change might be what the page shows, so it is told together with those before it, never after them.
        """
        found = list(changes)
        deadline = time.monotonic() + SETTLE_SECONDS
        while now == before and time.monotonic() < deadline:
            self._pause(STEP)
            now = watching.page_state(self._settings.page_port)
        if now != before:
            self._pause(STEP * 4)
            now = watching.page_state(self._settings.page_port)
        for _ in range(MOST_ROUNDS):
            later = self._changes(watcher)
            if not later:
                break
            found += later
            self._pause(SETTLE_SECONDS)
            now = watching.page_state(self._settings.page_port)
        return found, now

    def _look_after_children(self) -> None:
        """Tells who ended; the control plane is started again, so that one can see what its absence means."""
        plane = self._control_plane
        if plane is not None and plane.exit_code is not None:
            state = watching.page_state(self._settings.page_port)
            say(f"Control plane ended ({plane.exit_code}) and is started again: {watching.page_text(state, 'still')}")
            self._start_control_plane()
        for each in self._sidecars.values():
            if each.exit_code is not None and each.pid not in self._reported:
                self._reported.add(each.pid)
                say(f"{each.name} and its sidecar ended ({each.exit_code}), see {each.log}")

    def _pause(self, seconds: float) -> None:
        if self._ending.wait(seconds):
            raise Ended

    def _children(self) -> list[Child]:
        return [*self._sidecars.values(), *([self._control_plane] if self._control_plane else [])]

    def _take_down(self) -> None:
        """Sidecars first, so that they can say goodbye to the control plane."""
        end_all(list(self._sidecars.values()), END_SECONDS)
        end_all([self._control_plane] if self._control_plane else [], END_SECONDS)


def say(text: str) -> None:
    """A line for the user."""
    _print(text, sys.stdout)


def note(text: str) -> None:
    """A line about progress."""
    _print(f"demo: {text}", sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:  # nobody reads any more: end as on a signal
        os.kill(os.getpid(), signal.SIGTERM)


def write_secret(path: Path, text: str) -> None:
    """Replaces a file that only its owner may read."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def write_examples(state: Path) -> None:
    """Files for the commands that are suggested."""
    import yaml

    text = yaml.safe_dump_all(resources.permissions(), sort_keys=False)
    (state / "permissions.yaml").write_text(text)


def forget(state: Path) -> None:
    """Removes what earlier runs left: the database and the count. Only files that this program makes."""
    for name in ("kuma.db", "kuma.db-wal", "kuma.db-shm", "counter"):
        (state / name).unlink(missing_ok=True)


def kumactl(settings: Settings) -> str:
    """How to call kumactl from here, with the control plane's address where it is not the usual one."""
    beside = Path(sys.executable).with_name("kumactl")
    found = shutil.which("kumactl")
    if found and Path(found).resolve() == beside.resolve():
        program = "kumactl"
    else:
        relative = Path(os.path.relpath(beside))
        program = str(beside if str(relative).startswith("..") else relative)
    if settings.api_port == 5681 and _talks_to_this_machine(Path.home() / ".kumactl" / "config"):
        return program
    config = settings.state_dir / "kumactl.yaml"
    write_secret(config, _CONFIG.format(url=settings.api_url))
    return f"{program} --config-file {config}"


def _talks_to_this_machine(config: Path) -> bool:
    """Whether kumactl without a word about configuration would ask the usual port of this machine."""
    try:
        text = config.read_text()
    except OSError:
        return True
    return "currentContext: local\n" in text and "url: http://localhost:5681\n" in text


_CONFIG = """\
contexts:
- controlPlane: demo
  name: demo
controlPlanes:
- coordinates:
    apiServer:
      url: {url}
  name: demo
currentContext: demo
"""
