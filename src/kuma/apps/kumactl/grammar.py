"""Commands and groups that read arguments, print help and refuse mistakes the way Kuma's command line does.

Click parses; this module decides the words: which errors come with the usage text, what a group says when it is called
bare, and how flags of a group reach the commands below it. Texts and exit codes: cobra's, as Kuma shows them.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import click
from click import shell_completion

from kuma.apps.kumactl import flags as flag
from kuma.base import durations, errors


class CommandError(errors.KumaError):
    """What a command tells the user when it gives up: printed after `Error: `, exit code 1."""


class UsageProblem(CommandError):
    """A mistake in the arguments that comes with the usage text of its command."""

    def __init__(self, message: str, ctx: click.Context | None) -> None:
        self.ctx = ctx
        super().__init__(message)


class Invocation:
    """One call of a command: its arguments and flags, with those given to the groups above it."""

    def __init__(self, ctx: click.Context) -> None:
        self.ctx = ctx
        self.args: Sequence[str] = tuple(ctx.args)

    def is_set(self, name: str) -> bool:
        """Whether the user gave the flag, here or on a group above."""
        return self._holder(name) is not None

    def text(self, name: str) -> str:
        """The value of a string flag."""
        return str(self._value(name))

    def number(self, name: str) -> int:
        """The value of an int flag; a duration in nanoseconds."""
        return int(self._value(name))

    def switch(self, name: str) -> bool:
        """Whether a boolean flag is on."""
        return bool(self._value(name))

    def items(self, name: str) -> list[str]:
        """The items of a comma-separated list flag."""
        return flag.split_list(self._value(name))

    def repeated(self, name: str) -> list[str]:
        """Every value of a flag that may be given more than once."""
        return list(self._value(name))

    def pairs(self, name: str) -> Mapping[str, str]:
        """The map of a `key=value` flag."""
        return flag.split_pairs(self._value(name))

    def _holder(self, name: str) -> click.Context | None:
        key = name.replace("-", "_")
        ctx: click.Context | None = self.ctx
        while ctx is not None:
            if ctx.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE:
                return ctx
            ctx = ctx.parent
        return None

    def _value(self, name: str) -> Any:
        return (self._holder(name) or self.ctx).params[name.replace("-", "_")]


class Command(click.Command):
    """A leaf. `arguments` is how many it takes; None takes any number and ignores what it does not need.

    `offers` gives the words that a shell completes after the arguments before.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[Invocation], None],
        *,
        summary: str,
        description: str = "",
        flags: Sequence[flag.Flag] = (),
        arguments: int | None = 0,
        operands: str = "",
        aliases: Sequence[str] = (),
        offers: Callable[[Sequence[str]], Iterable[str]] | None = None,
    ) -> None:
        super().__init__(
            name, params=list(flags), help=description or summary, short_help=summary, add_help_option=False
        )
        self.own: list[flag.Flag] = [*flags, help_flag(name)]
        self.inherited: Sequence[flag.Flag] = ()
        self.params = list(self.own)
        self.context_settings = {"allow_extra_args": True, "ignore_unknown_options": False}
        self.run = run
        self.arguments = arguments
        self.operands = operands
        self.aliases = aliases
        self.offers = offers

    def inherit(self, persistent: Sequence[flag.Flag]) -> None:
        """Adds the flags of the groups above, unless this command has its own of that name."""
        mine = {each.long for each in self.own}
        self.inherited = [each for each in persistent if each.long not in mine]
        self.params = [*self.own, *self.inherited]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the flags; `--switch=false` is accepted, `--help` wins over everything."""
        switches = {f"--{each.long}" for each in [*self.own, *self.inherited] if each.form is flag.Form.SWITCH}
        with _told_where(ctx):
            rest = super().parse_args(ctx, _plain_switches(args, switches))
        if ctx.resilient_parsing:
            return rest
        if ctx.params.get("help"):
            click.echo(help_text(ctx))
            ctx.exit(0)
        for each in [*self.own, *self.inherited]:
            given = ctx.get_parameter_source(each.name or "") is click.core.ParameterSource.COMMANDLINE
            if given and each.deprecated_hint:
                click.echo(f"Flag --{each.long} has been deprecated, {each.deprecated_hint}")
        return rest

    def invoke(self, ctx: click.Context) -> None:
        """Checks the number of arguments, then the required flags, then runs."""
        given = len(ctx.args)
        if self.arguments == 0 and given:
            raise UsageProblem(f'unknown command "{ctx.args[0]}" for "{ctx.command_path}"', ctx)
        if self.arguments is not None and given != self.arguments:
            raise UsageProblem(f"accepts {self.arguments} arg(s), received {given}", ctx)
        call = Invocation(ctx)
        missing = sorted(each.long for each in self.own if each.needed and not call.is_set(each.long))
        if missing:
            names = ", ".join(f'"{name}"' for name in missing)
            raise CommandError(f"required flag(s) {names} not set")
        self.run(call)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[shell_completion.CompletionItem]:
        """Flags, and the words that may stand here."""
        found = super().shell_complete(ctx, incomplete)
        if self.offers is not None and not incomplete.startswith("-"):
            found += [
                shell_completion.CompletionItem(each) for each in self.offers(ctx.args) if each.startswith(incomplete)
            ]
        return found

    def get_help(self, ctx: click.Context) -> str:
        """The help text, without the final newline."""
        return help_text(ctx)


class Entry(NamedTuple):
    """A command that a group offers: the line shown in help, and how to get it when it is called."""

    summary: str
    load: "Callable[[], Command | Group]"
    hidden: bool = False


class Group(click.Group):
    """A command that only holds others.

    `entries` is asked once, when the group needs all of them; `find`, where given, is a quicker way to a single one.
    """

    def __init__(
        self,
        name: str,
        entries: Callable[[], Mapping[str, Entry]],
        *,
        description: str,
        persistent: Sequence[flag.Flag] = (),
        strict: bool = False,
        aliases: Callable[[], Mapping[str, str]] = dict,
        find: Callable[[str], "Entry | None"] | None = None,
    ) -> None:
        super().__init__(name, help=description, invoke_without_command=True, add_help_option=False)
        self.own: list[flag.Flag] = [*persistent, help_flag(name)]
        self.persistent = persistent
        self.inherited: Sequence[flag.Flag] = ()
        self.params = list(self.own)
        self.strict = strict
        self.aliases_of = aliases
        self._find = find
        self._entries = entries
        self._known: Mapping[str, Entry] | None = None

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The commands of the group by name."""
        if self._known is None:
            self._known = self._entries()
        return self._known

    def inherit(self, persistent: Sequence[flag.Flag]) -> None:
        """Adds the flags of the groups above."""
        self.inherited = list(persistent)
        self.params = [*self.own, *self.inherited]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every visible name, sorted."""
        return sorted(name for name, entry in self.entries.items() if not entry.hidden)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command called `name`, loaded now; None where there is none."""
        entry = self._find(name) if self._find is not None else None
        entry = entry or self.entries.get(name) or self.entries.get(self.aliases_of().get(name, ""))
        if entry is None:
            return None
        found = entry.load()
        found.inherit([*self.persistent, *self.inherited])
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the flags before the sub-command; `--help` and a bare call print help and end with 0."""
        switches = {f"--{each.long}" for each in [*self.own, *self.inherited] if each.form is flag.Form.SWITCH}
        with _told_where(ctx):
            rest = super().parse_args(ctx, _plain_switches(args, switches))
        bare = not (ctx.args or ctx._protected_args)
        if (ctx.params.get("help") or bare) and not ctx.resilient_parsing:
            click.echo(help_text(ctx))
            ctx.exit(0)
        return rest

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The sub-command and its arguments.

        An unknown word is an error in a strict group, and in any other where it is nearly a command; what is like none
        prints help and ends with 0, as in Kuma.
        """
        found = self.get_command(ctx, args[0])
        if found is not None:
            return args[0], found, args[1:]
        if args[0].startswith("-"):
            raise click.NoSuchOption(args[0], ctx=ctx)
        guess = self._guess(ctx, args[0])
        if self.strict or guess:
            problem = f'unknown command "{args[0]}" for "{ctx.command_path}"{guess}'
            raise CommandError(f"{problem}\nRun '{ctx.command_path} --help' for usage.")
        click.echo(help_text(ctx))
        ctx.exit(0)

    def _guess(self, ctx: click.Context, word: str) -> str:
        import difflib

        near = difflib.get_close_matches(word, self.list_commands(ctx), n=1)
        return f', did you mean "{near[0]}"?' if near else ""

    def get_help(self, ctx: click.Context) -> str:
        """The help text, without the final newline."""
        return help_text(ctx)


def lazily(module: str, attribute: str = "COMMAND") -> "Callable[[], Command | Group]":
    """A loader that imports `module` when the command is called."""

    def load() -> Command | Group:
        import importlib

        found: Command | Group = getattr(importlib.import_module(module), attribute)
        return found

    return load


def ready(commands: Iterable[Command]) -> dict[str, Entry]:
    """The entries of a group whose commands are made already."""
    return {each.name or "": Entry(each.short_help or "", functools.partial(_itself, each)) for each in commands}


def _itself(command: Command) -> Command:
    return command


def help_flag(name: str) -> flag.Flag:
    """`-h, --help`, which every command has."""
    return flag.Flag("help", short="h", form=flag.Form.SWITCH, help=f"help for {name}")


@contextlib.contextmanager
def _told_where(ctx: click.Context) -> Iterator[None]:
    """Adds the command to complaints of the parser that lack it, so that its usage can be shown."""
    try:
        yield
    except click.UsageError as problem:
        problem.ctx = problem.ctx or ctx
        raise


def _plain_switches(args: Iterable[str], switches: set[str]) -> list[str]:
    """Arguments with `--switch=true` as `--switch`, and `--switch=false` left out."""
    plain: list[str] = []
    for position, arg in enumerate(args):
        if arg == "--":
            return [*plain, *list(args)[position:]]
        name, separator, value = arg.partition("=")
        if separator and name in switches and value in ("true", "false", "1", "0"):
            if value in ("true", "1"):
                plain.append(name)
        else:
            plain.append(arg)
    return plain


def explain(problem: click.UsageError) -> str:
    """Click's complaint in the words users of Kuma know."""
    if isinstance(problem, click.NoSuchOption):
        name = problem.option_name
        if name.startswith("--"):
            return f"unknown flag: {name}"
        return f"unknown shorthand flag: '{name[1:2]}' in {name}"
    if isinstance(problem, click.BadOptionUsage):
        name = problem.option_name
        if name.startswith("--"):
            return f"flag needs an argument: {name}"
        return f"flag needs an argument: '{name[1:2]}' in {name}"
    if isinstance(problem, flag.BadValue) and isinstance(problem.param, flag.Flag):
        return f'invalid argument "{problem.raw}" for "{problem.param.spelled}" flag: {problem.message}'
    return re.sub(r"\.$", "", problem.format_message())


def help_text(ctx: click.Context) -> str:
    """The description and the usage of a command."""
    return f"{ctx.command.help}\n\n{usage_text(ctx)}"


def usage_text(ctx: click.Context) -> str:
    """The part of help that also follows a mistake: usage lines, aliases, sub-commands, flags."""
    command = ctx.command
    path = ctx.command_path
    parts = ["Usage:"]
    if isinstance(command, Group):
        parts.append(f"  {path} [command]")
        names = command.list_commands(ctx)
        width = max((len(name) for name in names), default=0)
        parts += ["", "Available Commands:"]
        parts += [f"  {name.ljust(width)} {command.entries[name].summary}" for name in names]
    elif isinstance(command, Command):
        operands = f" {command.operands}" if command.operands else ""
        parts.append(f"  {path}{operands} [flags]")
        if command.aliases:
            parts += ["", "Aliases:", "  " + ", ".join([command.name or "", *command.aliases])]
    own = getattr(command, "own", ())
    inherited = getattr(command, "inherited", ())
    parts += ["", "Flags:", *_flag_lines(own)]
    if inherited:
        parts += ["", "Global Flags:", *_flag_lines(inherited)]
    if isinstance(command, Group):
        parts += ["", f'Use "{path} [command] --help" for more information about a command.']
    return "\n".join(parts)


def _flag_lines(flags: Iterable[flag.Flag]) -> list[str]:
    rows = []
    for each in sorted((f for f in flags if not f.hidden), key=lambda f: f.long):
        short = f"-{each.short}, " if each.short else "    "
        word = f" {each.form.value}" if each.form.value else ""
        rows.append((f"  {short}--{each.long}{word}", (each.help or "") + _default_note(each)))
    width = max((len(left) for left, _ in rows), default=0)
    return [f"{left.ljust(width)}   {right}" for left, right in rows]


def _default_note(each: flag.Flag) -> str:
    default = each.shown_default
    if default in (None, "", False, 0):
        return ""
    if each.form is flag.Form.DURATION and isinstance(default, int):
        return f" (default {durations.format_go(default)})"
    if each.form is flag.Form.TEXT:
        return f' (default "{default}")'
    return f" (default {str(default).lower()})"
