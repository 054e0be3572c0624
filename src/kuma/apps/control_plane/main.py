"""`kuma-cp`: run, migrate, version. Reads settings, builds the control plane, ends it on a signal."""

import asyncio
import gc
import signal
import sys

import click

import kuma
from kuma.apps.control_plane import logging, settings_store
from kuma.apps.control_plane import settings as configuration
from kuma.base import errors

_CONTEXT = {"help_option_names": ["-h", "--help"]}


@click.group(context_settings=_CONTEXT)
@click.option("--log-level", type=click.Choice(logging.LEVELS), default="info", show_default=True)
@click.pass_context
def main(context: click.Context, log_level: str) -> None:
    """Universal control plane of the service mesh."""
    context.obj = log_level


@main.command()
@click.option("-c", "--config-file", default="", help="configuration file, YAML or JSON")
@click.pass_obj
def run(log_level: str, config_file: str) -> None:
    """Launch the control plane."""
    try:
        loaded = configuration.load(config_file)
    except errors.KumaError as failure:
        _end(failure)
    for line in loaded.deprecations:
        click.echo(line)
    levels = logging.Levels(log_level)
    logging.configure(levels)
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
    from kuma.apps.control_plane import opening, wiring  # see _serve

    async def migrate_file(settings: settings_store.StoreSettings) -> None:
        await opening.open_store(settings, wiring.catalog(), "").store.close()

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
