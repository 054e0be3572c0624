"""Finds the handler of a request: a tree of path segments, so that a few hundred routes cost a handful of lookups.

Templates are written as `/meshes/{mesh}/dataplanes/{name}`. A literal segment wins over a parameter; a trailing slash
does not matter.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

H = TypeVar("H")


@dataclass(frozen=True, slots=True)
class Found(Generic[H]):
    """A known path: its template, the values of its parameters, and the handler of each method."""

    template: str
    parameters: Mapping[str, str]
    handlers: Mapping[str, H]


@dataclass(slots=True)
class _Node(Generic[H]):
    literals: "dict[str, _Node[H]]" = field(default_factory=dict)
    parameter: "_Node[H] | None" = None
    names: tuple[str, ...] = ()
    template: str = ""
    handlers: dict[str, H] = field(default_factory=dict)


class Routes(Generic[H]):
    """All routes of a server, filled once at start."""

    def __init__(self) -> None:
        self._root: _Node[H] = _Node()

    def add(self, method: str, template: str, handler: H) -> None:
        """Serves `method` on `template`; ValueError where somebody does already."""
        node, names = self._root, []
        for segment in _segments(template):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                if node.parameter is None:
                    node.parameter = _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        if method in node.handlers:
            raise ValueError(f"{method} {template} is served twice, by {node.template} first")
        node.names, node.template = tuple(names), template
        node.handlers[method] = handler

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Every method and template that is served, sorted by template."""
        return iter([(method, template) for template, method in sorted(_served(self._root))])

    def find(self, path: str) -> Found[H] | None:
        """What is served at `path`, or None where nothing is."""
        segments = _segments(path)
        for node, values in _walk(self._root, segments, 0, ()):
            if node.handlers:
                return Found(node.template, dict(zip(node.names, values, strict=True)), node.handlers)
        return None


def _served(node: _Node[H]) -> Iterator[tuple[str, str]]:
    yield from ((node.template, method) for method in node.handlers)
    for each in (*node.literals.values(), *filter(None, (node.parameter,))):
        yield from _served(each)


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []


def _walk(
    node: _Node[H], segments: list[str], at: int, values: tuple[str, ...]
) -> Iterator[tuple[_Node[H], tuple[str, ...]]]:
    if at == len(segments):
        yield node, values
        return
    literal = node.literals.get(segments[at])
    if literal is not None:
        yield from _walk(literal, segments, at + 1, values)
    if node.parameter is not None and segments[at]:
        yield from _walk(node.parameter, segments, at + 1, (*values, segments[at]))
