"""`kuma-cp`: run, migrate, version. Reads settings, builds the control plane, ends it on a signal."""

import asyncio
import gc
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import structlog

import kuma
from kuma.apps.control_plane import log_file, logging
from kuma.apps.control_plane.settings import store as settings_store
from kuma.apps.control_plane.settings import tree as configuration
from kuma.base import errors

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@dataclass(frozen=True, slots=True)
class _Log:
    """Where the log goes and how much of it. An empty path: standard error."""

    level: str
    path: str
    limits: log_file.Limits


@click.group(context_settings=_CONTEXT)
@click.option("--log-level", type=click.Choice(logging.LEVELS), default="info", show_default=True)
@click.option("--log-output-path", default="", help="file to log to instead of standard error")
@click.option("--log-max-retained-files", type=click.IntRange(0), default=1000, show_default=True)
@click.option("--log-max-size", type=click.IntRange(1), default=100, show_default=True, help="megabytes of a log file")
@click.option("--log-max-age", type=click.IntRange(0), default=30, show_default=True, help="days to keep a log file")
@click.pass_context
def main(
    context: click.Context,
    log_level: str,
    log_output_path: str,
    log_max_retained_files: int,
    log_max_size: int,
    log_max_age: int,
) -> None:
    """Universal control plane of the service mesh."""
    limits = log_file.Limits(log_max_size, log_max_retained_files, log_max_age)
    context.obj = _Log(log_level, log_output_path, limits)


@main.command()
@click.option("-c", "--config-file", default="", help="configuration file, YAML or JSON")
@click.option("--strict-config", is_flag=True, help="refuse to start with a key or a variable that no setting has")
@click.pass_obj
def run(log: _Log, config_file: str, strict_config: bool) -> None:
    """Launch the control plane."""
    try:
        loaded = configuration.load(config_file)
        if strict_config and loaded.unknown:
            raise errors.BadRequest("\n".join(("the configuration is not clean:", *loaded.unknown)))
        stream = log_file.LogFile(Path(log.path), log.limits) if log.path else None
    except errors.KumaError as failure:
        _end(failure)
    if log.path:
        click.echo(f'kuma-cp: logs will be stored in "{log.path}"')
    for line in loaded.deprecations:
        click.echo(line)
    levels = logging.Levels(log.level)
    logging.configure(levels, stream=stream)
    for sentence in loaded.unknown:
        structlog.get_logger("settings").warning(sentence)
    try:
        asyncio.run(_serve(loaded.settings, levels))
    except* errors.KumaError as failures:
        _end(_first(failures))


def _first(failures: BaseExceptionGroup[errors.KumaError]) -> errors.KumaError:
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, errors.KumaError)
    return found


async def _serve(settings: configuration.Settings, levels: logging.Levels) -> None:
    from kuma.apps.control_plane import wiring  # takes a while; `--help` and errors of settings need none of it

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    control_plane = wiring.ControlPlane(settings, levels)
    gc.collect()
    gc.freeze()  # what lives as long as the process need not be looked at by every collection
    await control_plane.run(stop)


@main.group()
def migrate() -> None:
    """Migrate the store."""


@migrate.command()
@click.option("-c", "--config-file", default="", help="configuration file, YAML or JSON")
def up(config_file: str) -> None:
    """Apply the newest schema. SQLite files are brought up to date when they are opened, so this opens and closes."""
    from kuma.apps.control_plane import kinds, opening  # see _serve

    async def migrate_file(settings: settings_store.StoreSettings) -> None:
        await opening.open_store(settings, kinds.known(), "").store.close()

    try:
        store = configuration.load(config_file).settings.store
        if store.type == "sqlite":
            asyncio.run(migrate_file(store))
        elif store.type == "postgres":
            is_new = opening.migrate(store)
            click.echo(f"DB has {'been migrated' if is_new else 'already been migrated'} for Kuma {kuma.VERSION}")
    except errors.KumaError as failure:
        _end(failure)


@main.command()
@click.option("-a", "--detailed", is_flag=True, help="print detailed information")
def version(detailed: bool) -> None:
    """Print version."""
    click.echo(f"Kuma: {kuma.VERSION}" if not detailed else f"Product:  Kuma\nVersion:  {kuma.VERSION}")


def _end(failure: errors.KumaError) -> None:
    click.echo(f"Error: {failure}", err=True)
    sys.exit(1)
