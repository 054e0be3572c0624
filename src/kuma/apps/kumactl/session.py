"""What every command needs of the global flags: the configuration and the control plane that it names.

Imported for `kumactl --help` too, so what only a running command needs is imported inside the functions.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import kuma
from kuma.apps.kumactl import flags, grammar
from kuma.base import durations

if TYPE_CHECKING:
    from kuma.apps.kumactl import configuration, rest

PRODUCT = "Kuma"
TOKEN_VARIABLE = "KUMACTL_TOKEN"

LOG_LEVELS = ("off", "info", "debug")
FORMATS = ("table", "yaml", "json")

GLOBAL_FLAGS = (
    flags.Flag(
        "api-timeout",
        form=flags.Form.DURATION,
        default=durations.MINUTE,
        help="how long one call of the API may take, from connecting to the last byte of the answer; 0 waits for ever",
    ),
    flags.Flag("config-file", help="configuration file to use instead of ~/.kumactl/config"),
    flags.Flag("context", help="context to use instead of the current one"),
    flags.Flag("log-level", default="off", help="log level: one of off|info|debug", offers=LOG_LEVELS),
    flags.Flag("no-config", form=flags.Form.SWITCH, help="neither read nor create a configuration file"),
    flags.Flag("token", help=f"user token to send (safer: environment variable {TOKEN_VARIABLE})"),
)
MESH = flags.Flag("mesh", short="m", default="default", help="mesh to use")
OUTPUT = flags.Flag("output", short="o", default="table", help="output format: one of table|yaml|json", offers=FORMATS)


def check_log_level(call: grammar.Invocation) -> None:
    """Raises UsageProblem for a level that does not exist."""
    if call.text("log-level") not in LOG_LEVELS:
        raise grammar.UsageProblem(f'unknown log level "{call.text("log-level")}"', call.ctx)


def log(call: grammar.Invocation, text: str) -> None:
    """One line on stderr at level info and above."""
    if call.text("log-level") != "off":
        click.echo(text, err=True)


def config_path(call: grammar.Invocation) -> Path:
    """The configuration file in use."""
    from kuma.apps.kumactl import configuration

    given = call.text("config-file")
    return Path(given) if given else configuration.default_path()


def read_configuration(call: grammar.Invocation) -> "configuration.Configuration":
    """The configuration in use; the default one with `--no-config`."""
    from kuma.apps.kumactl import configuration

    check_log_level(call)
    if call.switch("no-config"):
        return configuration.default()
    return configuration.load(config_path(call))


def connect(call: grammar.Invocation) -> "rest.ControlPlane":
    """The control plane of the context in use; nothing is sent yet."""
    from kuma.apps.kumactl import rest

    server = read_configuration(call).active(call.text("context"))
    token = call.text("token") or os.environ.get(TOKEN_VARIABLE, "")
    if token:
        server.auth_conf = {"token": token}
    if not rest.valid_url(server.url):
        raise grammar.CommandError("Failed to parse API Server URL: only http:// and https:// addresses can be used")
    return rest.ControlPlane(server, call.number("api-timeout"))


def connect_checked(call: grammar.Invocation) -> "rest.ControlPlane":
    """The control plane, after comparing its version with ours; a difference is a warning, never fatal."""
    plane = connect(call)
    warn_of_version(plane)
    return plane


def warn_of_version(plane: "rest.ControlPlane") -> None:
    """Tells on stderr when the server is of another version, or cannot be asked."""
    from kuma.apps.kumactl import rest

    try:
        index = plane.get("/")
        product, version = str(index.get("product", "")), str(index.get("version", ""))
    except rest.Unreachable as problem:
        reason = f"Unable to retrieve server version: {problem}"
    except (rest.Refused, AttributeError) as problem:
        reason = str(problem)
    else:
        if (product, version) != (PRODUCT, kuma.VERSION) and "preview" not in version:
            click.echo(
                f"WARNING: You are using kumactl version {kuma.VERSION} for {PRODUCT}, "
                f"but the server returned version: {product} for {version}",
                err=True,
            )
        return
    click.echo(f"WARNING: Failed to retrieve server version, can't check compatibility: {reason}", err=True)


def mesh_of(call: grammar.Invocation) -> str:
    """The mesh asked for; an empty one means `default`."""
    return call.text("mesh") or "default"


class Progress:
    """A counter on stderr for work of many steps, shown on a terminal alone and wiped when the work ends."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total = label, total
        self._shown = total > 1 and sys.stderr.isatty()

    def step(self, done: int, what: str = "") -> None:
        """Shows how far the work is, and what it is at."""
        if self._shown:
            sys.stderr.write(f"\r{self._label} {done}/{self._total} {what}\x1b[K")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipes the line."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
