"""What a compiled template consists of. Each node of an action knows where it starts, for errors while it is filled in."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Constant:
    """A string, number, truth value or nil, and how it was written."""

    value: str | int | float | bool | None
    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Field:
    """A path of fields of the dot (`.Name`); no names: the dot itself."""

    names: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        """As written."""
        return "." + ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with its dollar sign (`$`, `$x`), and a path of fields after it."""

    name: str
    names: tuple[str, ...]
    at: int

    @property
    def text(self) -> str:
        """As written."""
        return ".".join((self.name, *self.names))


@dataclass(frozen=True, slots=True)
class Function:
    """The name of a function."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Command:
    """An operand, or a function with its arguments."""

    arguments: "tuple[Argument, ...]"
    at: int

    @property
    def text(self) -> str:
        """As written, with single spaces."""
        return " ".join(f"({each.text})" if isinstance(each, Pipeline) else each.text for each in self.arguments)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Commands, each of which gets the result of the one before; the result may be kept in a variable."""

    commands: tuple[Command, ...]
    variable: str
    declares: bool
    at: int

    @property
    def text(self) -> str:
        """As written, with single spaces."""
        kept = f"{self.variable} {':=' if self.declares else '='} " if self.variable else ""
        return kept + " | ".join(each.text for each in self.commands)


Argument = Constant | Field | Variable | Function | Pipeline


@dataclass(frozen=True, slots=True)
class Text:
    """Text that is kept as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Action:
    """A pipeline whose result is printed, unless it goes into a variable."""

    pipeline: Pipeline


@dataclass(frozen=True, slots=True)
class Branch:
    """`if` and `with`: one body where the pipeline is true, another where it is not; `with` makes it the dot."""

    pipeline: Pipeline
    body: "tuple[Node, ...]"
    otherwise: "tuple[Node, ...]"
    sets_dot: bool


Node = Text | Action | Branch
