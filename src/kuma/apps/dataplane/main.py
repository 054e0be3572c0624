"""The command line of kuma-dp. Errors are printed as `Error: <text>` and end it with 1, as Kuma's do."""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

import kuma
from kuma.apps.dataplane import log
from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.base import durations

_UNSUPPORTED = (
    "dns-coredns-path",
    "dns-coredns-config-template-path",
    "dns-server-config-dir",
    "dns-prometheus-port",
    "dns-enable-logging",
)
"""Flags of CoreDNS, in whose place the agent answers itself: accepted, so that scripts keep working, and named."""

_Command = Callable[..., Any]


def main() -> None:
    """Entry point of the console script."""
    try:
        code = cli.main(prog_name="kuma-dp", standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.ClickException as error:
        _fail(error.format_message(), 1)
    except AgentError as error:
        _fail(str(error), error.code)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> None:
    print(f"Error: {message}", file=sys.stderr)
    sys.exit(code)


def _log_options(command: _Command) -> _Command:
    """The flags that every command takes, before or after its name."""
    rows: tuple[tuple[str, Any, str], ...] = (
        ("--log-level", click.Choice(list(log.LEVELS)), "Log level"),
        ("--log-output-path", str, "File to write the log to, with rotation"),
        ("--log-max-retained-files", int, "Rotated log files to keep (1000)"),
        ("--log-max-size", int, "Megabytes of a log file before it is rotated (100)"),
        ("--log-max-age", int, "Days to keep rotated log files (30)"),
    )
    for flag, kind, text in reversed(rows):
        command = click.option(flag, type=kind, default=None, help=text)(command)
    return command


_LOG_DEFAULTS = {
    "log_level": "info",
    "log_output_path": "",
    "log_max_retained_files": 1000,
    "log_max_size": 100,
    "log_max_age": 30,
}


def _configure_log(context: click.Context, own: dict[str, Any]) -> str:
    """Applies the log flags, a command's own before those of the program; the level."""
    outer = context.parent.params if context.parent else {}
    chosen: dict[str, Any] = {
        name: next((each for each in (own.pop(name, None), outer.get(name)) if each is not None), default)
        for name, default in _LOG_DEFAULTS.items()
    }
    try:
        log.configure_log(
            chosen["log_level"],
            chosen["log_output_path"],
            chosen["log_max_retained_files"],
            chosen["log_max_size"],
            chosen["log_max_age"],
        )
    except OSError as error:
        raise AgentError(f"could not write the log to {chosen['log_output_path']}: {error.strerror}") from error
    return str(chosen["log_level"])


def _settings_options(command: _Command) -> _Command:
    """One flag a row of the settings. Booleans may stand alone or say `=false`."""
    for row in reversed([each for each in conf.ROWS if each.flags]):
        names = [f"--{flag}" if len(flag) > 1 else f"-{flag}" for flag in row.flags]
        bare: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if isinstance(row.default, bool) else {}
        text = " ".join(filter(None, (row.help, _default_of(row), f"[{row.env}]" if row.env else "")))
        option = click.option(*names, row.field, default=None, multiple=row.repeatable, help=text, **bare)
        command = option(command)
    for flag in _UNSUPPORTED:
        command = click.option(f"--{flag}", default=None, hidden=True, is_flag=False, flag_value="true")(command)
    return command


def _default_of(row: conf.Row) -> str:
    """A default as it would be written; empty where there is none, or the text tells already."""
    if (row.default in ("", (), 0) and not isinstance(row.default, bool)) or "default" in row.help:
        return ""
    if row.parse is durations.parse_go:
        return f"(default: {durations.format_go(row.default)})"
    return f"(default: {str(row.default).lower() if isinstance(row.default, bool) else row.default})"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@_log_options
def cli(**_: Any) -> None:
    """Run an Envoy beside an application, as a member of a Kuma mesh."""


@cli.command()
@_settings_options
@_log_options
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def run(context: click.Context, /, command: tuple[str, ...], **flags: Any) -> int:
    """Start Envoy and keep it; with `-- COMMAND`, start that beside it and end with its exit code."""
    import asyncio
    from contextlib import ExitStack

    from kuma.apps.dataplane.agent import Agent
    from kuma.apps.dataplane.preparation import prepare

    level = _configure_log(context, flags)
    for flag in _UNSUPPORTED:
        if flags.pop(flag.replace("-", "_"), None) is not None:
            log.logger("run").info("--%s has no effect: the agent answers DNS itself, without CoreDNS", flag)
    settings = conf.load_settings(flags, os.environ)
    with ExitStack() as resources:
        prepared = prepare(settings, os.environ, resources)
        return asyncio.run(Agent(prepared, level, command).run())


@cli.command()
@click.option("--url", default="http://localhost:9901/ready", show_default=True, help="Where to ask")
@click.option("--unix-socket", default="", help="Unix socket to ask instead of the URL's host and port")
@click.option("--check-frequency", default="1s", show_default=True, help="Pause between questions")
@click.option("--timeout", default="3m0s", show_default=True, help="When to give up")
@click.option("--request-timeout", default="500ms", show_default=True, help="Time for one answer")
@_log_options
@click.pass_context
def wait(context: click.Context, /, url: str, unix_socket: str, **flags: Any) -> None:
    """Wait until the proxy on this machine is ready.

    Ask the agent: with -d or --name it answers at http://localhost:9902/ready (KUMA_READINESS_PORT); with --service it
    takes a free port. The first line of its log names the URL ("ready="). The default of --url is Kuma's, an admin
    port of Envoy that does not listen there unless the Dataplane says so.
    """
    import asyncio

    from kuma.apps.dataplane.waiting import wait_until_ready

    _configure_log(context, flags)
    seconds = {name: _seconds(name, flags[name]) for name in ("check_frequency", "timeout", "request_timeout")}
    asyncio.run(
        wait_until_ready(url, unix_socket, seconds["check_frequency"], seconds["timeout"], seconds["request_timeout"])
    )


def _seconds(flag: str, raw: str) -> float:
    try:
        return durations.parse_go(raw) / durations.SECOND
    except ValueError as error:
        raise AgentError(f'invalid argument "{raw}" for "--{flag.replace("_", "-")}" flag: {error}') from error


@cli.command()
@click.option("-a", "--detailed", is_flag=True, help="Also print where the build comes from")
@_log_options
def version(detailed: bool, **_: Any) -> None:
    """Print the version."""
    if detailed:
        print(f"Product:       Kuma\nVersion:       {kuma.VERSION}")
    else:
        print(f"Kuma: {kuma.VERSION}")


if __name__ == "__main__":
    main()
