"""The life of one proxy: bootstrap, run Envoy and perhaps a command beside it, leave in good order.

One of three things ends it: a signal, the end of Envoy, the end of the command. Whatever it is, peers hear goodbye
first and Envoy goes last, so that no request is cut off.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kuma.apps.dataplane import dynconf, log
from kuma.apps.dataplane.access_log import AccessLogStreamer
from kuma.apps.dataplane.control_plane import STILL_WAITING, Bootstrap, TokenMissing, Unreachable
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import bootstrap, credentials
from kuma.apps.dataplane.metrics import meters as metering
from kuma.apps.dataplane.otel import receiver as telemetry
from kuma.apps.dataplane.preparation import Prepared
from kuma.apps.dataplane.readiness import Reporter
from kuma.apps.dataplane.supervised import envoy
from kuma.apps.dataplane.supervised.envoy_log import QUIET_COMPONENTS, EnvoyLog
from kuma.apps.dataplane.supervised.process import Child, start_child
from kuma.apps.dataplane.supervised.supervision import EnvoyKeeper
from kuma.base import durations, sockets

if TYPE_CHECKING:
    from kuma.apps.dataplane.dns import server as dns

_READY_POLL = 0.05
_READY_POLL_LIMIT = 1.0
PEERS_LEAVE = 1.0
"""Seconds in which peers hear of a goodbye; requests they sent before still find the command running."""

NAMES_ARRIVE = 15.0
"""Seconds in which names of the mesh have to be known after Envoy has its configuration; then it works without them."""

_ENDING = (signal.SIGINT, signal.SIGTERM)
_FORWARDED = (signal.SIGHUP, signal.SIGUSR1)

_log = log.logger("run")


class Signals:
    """Signals that ask the agent to end, as awaitable events. The third one does not wait for anybody."""

    def __init__(self) -> None:
        self._count = 0
        self._arrived = asyncio.Event()
        self.last = signal.SIGTERM

    def arrive(self, number: signal.Signals) -> None:
        """Called by the event loop."""
        self._count += 1
        self.last = number
        if self._count >= 3:
            os._exit(1)  # the kernel ends our children
        self._arrived.set()

    async def next(self) -> None:
        """Returns at once where a signal came since the last call, else waits for one."""
        await self._arrived.wait()
        self._arrived.clear()


class Agent:
    """One run. `command` is empty or the process to supervise beside Envoy."""

    def __init__(self, prepared: Prepared, log_level: str, command: Sequence[str]) -> None:
        self._prepared = prepared
        self._log_level = log_level
        self._command = command
        self._around = prepared.around
        self._admin = envoy.Admin()
        self._signals = Signals()
        self._envoy_log = self._log_of_envoy()
        self._running_command: Child | None = None
        self._joined = asyncio.Event()
        self._drained = False
        self._gone = False

    async def run(self) -> int:
        """Lives until the end; the exit code. AgentError where it ends with a failure."""
        loop = asyncio.get_running_loop()
        for number in _ENDING:
            loop.add_signal_handler(number, self._signals.arrive, number)
        answer = await self._bootstrap_unless_signalled()
        if answer is None:
            return 0
        config = envoy.read_config(answer.config)
        self._admin = envoy.admin_of(config)
        keeper = self._keeper(config)
        names = self._name_server()
        reporter = Reporter(self._admin, self._joined if names else None)
        around = self._around
        access_logs = AccessLogStreamer()
        poller = self._poller()
        own = [access_logs.exposition]
        if names is not None:
            poller.add("/dns", names.take)
            own.append(names.exposition)
        collectors = telemetry.Receiver(around.telemetry, around.host_ip)
        own.append(collectors.exposition)
        meters = metering.Meters(self._admin, answer.address, around.redirection is not None, answer.aggregate, own)
        collectors.send_metrics(meters.take_collectors)
        poller.add(metering.PATH, meters.take)
        poller.add(telemetry.PATH, collectors.take)
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(reporter.serve(self._prepared.readiness_listener)),
                    group.create_task(access_logs.run(sockets.access_log(around.workdir, around.mesh, around.name))),
                    group.create_task(meters.run(sockets.metrics(around.workdir, around.mesh, around.name))),
                    group.create_task(collectors.run()),
                    group.create_task(poller.run()),
                    group.create_task(self._watch_joining(names, poller)),
                ]
                if names is not None:
                    beside.append(group.create_task(names.run()))
                envoy_life = group.create_task(keeper.run())
                loop.add_signal_handler(signal.SIGUSR2, lambda: group.create_task(self._drain_inbounds()))
                code = await self._live(group, reporter, envoy_life)
                await keeper.stop()
                await collectors.finish()
                for task in beside:
                    task.cancel()
        except BaseExceptionGroup as failures:
            raise _first_of(failures) from failures
        finally:
            await self._say_goodbye()
            await self._stop_all(keeper)
        return code

    def _name_server(self) -> "dns.Server | None":
        """The DNS server on the sockets that were opened for it, None where there are none."""
        pairs = self._prepared.dns
        if not pairs:
            return None
        from kuma.apps.dataplane.dns import resolv_conf, server, upstream

        own = [udp.getsockname()[:2] for udp, _ in pairs]
        _log.info("DNS at %s", ", ".join(f"{address} port {port}" for address, port in own))
        resolver = upstream.Resolver(resolv_conf.ResolvConf(own=own).servers)
        return server.Server([udp for udp, _ in pairs], [tcp for _, tcp in pairs], resolver)

    def _poller(self) -> dynconf.Poller:
        interval = self._prepared.settings.dynconf_interval / durations.SECOND
        return dynconf.Poller(sockets.dynamic_config(self._around.workdir), interval)

    async def _bootstrap_unless_signalled(self) -> Bootstrap | None:
        """The control plane's answer; None where a signal came while the control plane was away."""
        asking = asyncio.ensure_future(self._fetch())
        signalled = asyncio.ensure_future(self._signals.next())
        try:
            await asyncio.wait({asking, signalled}, return_when=asyncio.FIRST_COMPLETED)
            return None if signalled.done() else await asking
        finally:
            asking.cancel()
            signalled.cancel()

    async def _fetch(self) -> Bootstrap:
        answer = await self._prepared.control_plane.until_answered(self._ask)
        around = self._around
        host, port = self._prepared.readiness_listener.getsockname()[:2]
        ready = f"http://{host}:{port}/ready"
        _log.info("bootstrapped: mesh=%s name=%s workdir=%s ready=%s", around.mesh, around.name, around.workdir, ready)
        return answer

    async def _ask(self) -> Bootstrap:
        """One attempt: a token where we may fetch one ourselves, then the bootstrap."""
        control_plane, tokenless = self._prepared.control_plane, ""
        if self._prepared.fetch_token and not self._around.token:
            try:
                self._keep_token(await control_plane.ask_token(self._around.mesh, self._around.name))
            except Unreachable as error:
                tokenless = str(error)
        try:
            around = replace(self._around, ca=control_plane.trust.ca)
            return await control_plane.ask_bootstrap(bootstrap.build_request(self._prepared.settings, around))
        except TokenMissing as refusal:
            if not tokenless:
                raise
            raise Unreachable(f"{refusal} (it could not be fetched: {tokenless})") from refusal

    def _keep_token(self, token: str) -> None:
        if token:
            path = credentials.write_secret(os.path.join(self._around.workdir, "token"), token)
            self._around = replace(self._around, token=token, token_path=path)

    def _keeper(self, config: dict[str, Any]) -> EnvoyKeeper:
        settings = self._prepared.settings
        envoy.retry_soon(config)
        text = json.dumps(config, indent=1)  # JSON is YAML, too
        path = credentials.write_secret(os.path.join(self._around.workdir, "bootstrap.yaml"), text)
        is_quiet = self._is_quiet
        arguments = envoy.arguments(
            self._prepared.envoy_binary,
            path,
            max(settings.drain_time // durations.SECOND, 1),
            settings.envoy_log_level or ("warning" if is_quiet else self._log_level),
            settings.envoy_component_log_level or (QUIET_COMPONENTS if is_quiet else ""),
            settings.concurrency,
        )
        base, limit = settings.restart_base / durations.SECOND, settings.restart_max / durations.SECOND
        return EnvoyKeeper(arguments, self._admin.socket, settings.restart_envoy, base, limit, self._envoy_log.passes)

    def _log_of_envoy(self) -> EnvoyLog:
        chosen = self._prepared.settings.envoy_log_level
        is_verbose = "debug" in (self._log_level, chosen) or chosen == "trace"
        return EnvoyLog(quiet=self._is_quiet, verbose=is_verbose, now=time.monotonic)

    @property
    def _is_quiet(self) -> bool:
        # Envoy's first second fills a screen at level info, and here somebody looks at the output of the command.
        settings = self._prepared.settings
        is_chosen = bool(settings.envoy_log_level or settings.envoy_component_log_level) or self._log_level != "info"
        return bool(settings.service or self._command) and not is_chosen

    async def _live(self, group: asyncio.TaskGroup, reporter: Reporter, envoy_life: asyncio.Task[None]) -> int:
        """Waits for what ends the run, and leaves the mesh."""
        signalled = group.create_task(self._signals.next())
        command_life = group.create_task(self._run_command()) if self._command else None
        ends = {signalled, envoy_life} | ({command_life} if command_life else set())
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        reporter.terminating = self._envoy_log.is_leaving = True
        if not envoy_life.done():
            await self._say_goodbye()
            has_worked = self._joined.is_set() or await self._is_ready()
            if signalled.done() and has_worked:  # else there never was a connection to finish
                await self._drain(command_life)
        signalled.cancel()
        return await self._end_command(command_life)

    async def _run_command(self) -> int:
        """Starts the command as soon as its outbounds answer; its exit code, 128 + n after signal n."""
        await self._joined.wait()
        try:
            child = await start_child(self._command)
        except OSError as error:
            raise AgentError(f"could not start {self._command[0]}: {error.strerror}", code=127) from error
        self._running_command = child
        loop = asyncio.get_running_loop()
        for number in _FORWARDED:
            loop.add_signal_handler(number, child.send_signal, number)
        code = await child.wait()
        return code if code >= 0 else 128 - code

    async def _watch_joining(self, names: "dns.Server | None", poller: dynconf.Poller) -> None:
        """Sets `_joined` as soon as Envoy has its configuration, outbounds and names answer, and says so."""
        clock = asyncio.get_running_loop().time
        report_at, pause = clock() + STILL_WAITING, _READY_POLL
        waiting = f"; {self._command[0]} starts when it has" if self._command else ""
        while self._admin.is_enabled and not await self._is_ready():
            if clock() > report_at:
                _log.info("Envoy has no configuration yet%s", waiting)
                report_at, pause = clock() + STILL_WAITING, _READY_POLL_LIMIT
            await asyncio.sleep(pause)
        if names is not None:
            await poller.ask_all()  # Envoy has them by now, and the command need not wait for the next round
            await _until_known(names)
        around = self._around
        what = self._prepared.settings.service or self._prepared.settings.proxy_type
        if self._admin.is_enabled:
            where = f"the mesh {around.mesh}" if around.mesh else "the zone"
            _log.info("%s joined %s as %s", what, where, around.name)
        self._joined.set()

    async def _is_ready(self) -> bool:
        try:
            return (await self._admin.ready()).status == 200
        except OSError:  # Envoy does not listen yet
            return False

    async def _say_goodbye(self) -> None:
        if self._prepared.self_registered and not self._gone:
            self._gone = True
            around, proxy_type = self._around, self._prepared.settings.proxy_type
            await self._prepared.control_plane.say_goodbye(
                around.mesh, around.name, around.token, around.definition, proxy_type
            )

    async def _drain(self, command_life: asyncio.Task[int] | None) -> None:
        """Lets connections finish, until the drain time has passed, the command has ended or another signal comes."""
        with contextlib.suppress(OSError):  # Envoy may have no admin API, or be on its way out
            await self._admin.fail_health_checks()
        seconds = self._prepared.settings.drain_time / durations.SECOND
        if self._running_command is not None:
            if self._prepared.self_registered and await self._signalled_within(min(PEERS_LEAVE, seconds), command_life):
                return
            self._running_command.send_signal(self._signals.last)
        if not self._drained:
            _log.info("leaving: connections may finish for %g s, another signal ends that", seconds)
            await self._signalled_within(seconds, command_life)

    async def _signalled_within(self, seconds: float, command_life: asyncio.Task[int] | None) -> bool:
        """Waits; whether another signal cut it short. The end of the command cuts it short as well."""
        signalled = asyncio.ensure_future(self._signals.next())
        try:
            ends: set[asyncio.Future[Any]] = {signalled} | ({command_life} if command_life else set())
            await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return signalled.done()
        finally:
            signalled.cancel()

    async def _end_command(self, command_life: asyncio.Task[int] | None) -> int:
        if command_life is None:
            return 0
        if self._running_command is None:
            command_life.cancel()  # it still waits for Envoy
            return 0
        await self._running_command.stop()
        return await command_life

    async def _drain_inbounds(self) -> None:
        """Stops taking connections from peers, as Kubernetes asks before it ends a native sidecar."""
        if self._drained:
            return
        self._drained = True
        with contextlib.suppress(OSError):  # Envoy may be on its way out
            await self._admin.drain_inbounds()

    async def _stop_all(self, keeper: EnvoyKeeper) -> None:
        """Leaves no process behind, whatever happened."""
        if self._running_command is not None:
            await self._running_command.stop()
        await keeper.stop()


async def _until_known(names: "dns.Server") -> None:
    try:
        async with asyncio.timeout(NAMES_ARRIVE):
            await names.configured.wait()
    except TimeoutError:
        _log.info("no names of the mesh after %g s; DNS answers without them", NAMES_ARRIVE)


def _first_of(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The failure that says why the run ended: ours before others, innermost first."""
    flat: list[BaseException] = []
    for each in failures.exceptions:
        flat.append(_first_of(each) if isinstance(each, BaseExceptionGroup) else each)
    return next((each for each in flat if isinstance(each, AgentError)), flat[0])
