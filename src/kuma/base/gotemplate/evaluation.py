"""Fills compiled templates in: fields from a map, functions from the caller, and those that are there always."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from kuma.base import gotext
from kuma.base.gotemplate import nodes, parsing
from kuma.base.gotemplate.builtins import BUILTINS, Functions, Value, shown, truth
from kuma.base.gotemplate.tokens import TemplateError

FieldMissing = Callable[[str], str]
"""Says why a field that the data lacks is an error, in the words after the place; see `Template.render`."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template."""

    source: str
    tree: tuple[nodes.Node, ...]

    def render(
        self,
        fields: Mapping[str, str],
        functions: Functions | None = None,
        missing: FieldMissing | None = None,
    ) -> str:
        """The text for these fields, each named without its dot.

        `functions` implements those that `parse` was told of; a ValueError of theirs becomes the template's. A field
        that is not there prints `<no value>`, or is an error whose reason `missing` gives. TemplateError otherwise.
        """
        run = _Run(self.source, {**BUILTINS, **(functions or {})}, missing, {"$": fields})
        try:
            run.walk(self.tree, fields)
        except RecursionError:
            raise TemplateError("template: :1: nested too deeply") from None
        return "".join(run.out)


def parse(source: str, functions: Collection[str] = ()) -> Template:
    """The compiled template, which may call `functions` beside the builtins; TemplateError where it does not compile."""
    return Template(source, parsing.parse_tree(source, {*BUILTINS, *functions}))


@dataclass(slots=True)
class _Run:
    """One rendering."""

    source: str
    functions: Functions
    missing: FieldMissing | None
    variables: dict[str, Value]
    out: list[str] = field(default_factory=list)

    def walk(self, tree: tuple[nodes.Node, ...], dot: Value) -> None:
        for node in tree:
            if isinstance(node, nodes.Text):
                self.out.append(node.text)
                continue
            value = self._pipeline(node.pipeline, dot)
            if isinstance(node, nodes.Action):
                if not node.pipeline.variable:
                    self.out.append(shown(value))
                continue
            known = dict(self.variables)
            if truth(value):
                self.walk(node.body, value if node.sets_dot else dot)
            else:
                self.walk(node.otherwise, dot)
            self.variables = {name: self.variables[name] for name in known}

    def _refuse(self, node: nodes.Command | nodes.Argument, reason: str) -> TemplateError:
        before = self.source[: node.at]
        line, column = 1 + before.count("\n"), len(before.rpartition("\n")[2].encode(errors="replace"))
        return TemplateError(f'template: :{line}:{column}: executing "" at <{node.text}>: {reason}')

    def _pipeline(self, pipeline: nodes.Pipeline, dot: Value) -> Value:
        value: Value = None
        for index, command in enumerate(pipeline.commands):
            value = self._command(command, dot, (value,) if index else ())
        if pipeline.variable:
            self.variables[pipeline.variable] = value
        return value

    def _command(self, command: nodes.Command, dot: Value, piped: tuple[Value, ...]) -> Value:
        head, arguments = command.arguments[0], command.arguments[1:]
        if not isinstance(head, nodes.Function):
            if arguments or piped:
                raise self._refuse(head, f"can't give argument to non-function {head.text}")
            return self._value(head, dot)
        given = [self._value(each, dot) for each in arguments] + list(piped)
        return self._call(head.text, command, given)

    def _call(self, name: str, place: nodes.Command | nodes.Function, given: list[Value]) -> Value:
        try:
            return self.functions[name](*given)
        except ValueError as failure:
            raise self._refuse(place, f"error calling {name}: {failure}") from None
        except (TypeError, AttributeError, IndexError):
            raise self._refuse(place, f"wrong arguments for {name}") from None

    def _value(self, argument: nodes.Argument, dot: Value) -> Value:
        if isinstance(argument, nodes.Constant):
            return argument.value
        if isinstance(argument, nodes.Pipeline):
            return self._pipeline(argument, dot)
        if isinstance(argument, nodes.Function):
            return self._call(argument.text, argument, [])
        value = self.variables[argument.name] if isinstance(argument, nodes.Variable) else dot
        for name in argument.names:
            value = self._member(argument, value, name)
        if isinstance(value, Mapping):
            raise self._refuse(argument, "the data has no text of its own")
        return value

    def _member(self, argument: nodes.Argument, value: Value, name: str) -> Value:
        if not isinstance(value, Mapping):
            raise self._refuse(argument, f"can't evaluate field {name} in type {_type_of(value)}")
        if name in value:
            return value[name]
        if self.missing is not None:
            raise self._refuse(argument, self.missing(name))
        return None


def _type_of(value: Value) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "float64"}
    return names.get(type(value), gotext.json_type(value))
