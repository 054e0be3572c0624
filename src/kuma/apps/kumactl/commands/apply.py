"""`kumactl apply`: checks every document here first, then writes them one after the other.

A document that is broken stops the whole command before anything is written. Rules and texts: Kuma's `apply`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from kuma.apps.kumactl import documents, flags, grammar, kinds, rest, session, sources
from kuma.base import errors
from kuma.resources import kind as kind_
from kuma.resources import resource as res


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A document that passed every local check. `mesh` is what the user wrote, shown even for global kinds.

    `warnings` are about what is lost on the way to the server; `place` is the end of errors, where it was written.
    """

    resource: res.Resource[Any]
    mesh: str
    warnings: Sequence[str]
    place: str

    @property
    def label(self) -> str:
        return f'resource type="{self.resource.kind.name}" mesh="{self.mesh}" name="{self.resource.meta.name}"'


class _Unacceptable(errors.KumaError):
    """Why one document cannot be applied, and what in it is not known at all."""

    def __init__(self, message: str, warnings: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.warnings = warnings


def _apply(call: grammar.Invocation) -> None:
    found, unfilled = _pieces(call)
    if not found:
        raise grammar.CommandError("no resource(s) passed to apply")
    wanted = _check_all(found, unfilled)
    if call.switch("dry-run"):
        for each in wanted:
            _warn(each.warnings, each.label if len(wanted) > 1 else "")
        click.echo("---\n".join(_shown(each) for each in wanted), nl=False)
        return
    plane = session.connect_checked(call)
    wanted = _writable(wanted)
    progress = session.Progress("applying", len(wanted))
    applied = 0
    try:
        for each in wanted:
            progress.step(applied + 1)
            _put(plane, each, are_several=len(wanted) > 1)
            applied += 1
    finally:
        progress.end()
        if applied < len(wanted) > 1:
            # Before the error, which names the document that was refused.
            click.echo(f"{applied} of {len(wanted)} resources were applied, the others are as they were", err=True)


def _pieces(call: grammar.Invocation) -> tuple[list[sources.Piece], list[str]]:
    """The documents with their placeholders filled in, and the names of those that were not.

    Without a value nothing is filled in, so that texts which use the same brackets for themselves stay as they are.
    """
    values = call.pairs("var")
    found: list[sources.Piece] = []
    unfilled: list[str] = []
    for source in sources.read(call.text("file")):
        unfilled += sources.unfilled(source.text, values)
        text = sources.fill_in(source.text, values) if values else source.text
        found += sources.split(sources.Source(source.name, text))
    unfilled = list(dict.fromkeys(unfilled))
    if values:
        _warn(f"{{{{ {name} }}}} is empty: no --var {name}=VALUE was given" for name in unfilled)
    return found, unfilled


def _writable(wanted: list[_Wanted]) -> list[_Wanted]:
    """What a user may write: the rest, which exports have among it, is named and passed over.

    Where nothing would be left all of it is sent, for the control plane to say why not.
    """
    left = [each for each in wanted if not each.resource.kind.read_only]
    if not left:
        return wanted
    for each in wanted:
        if each.resource.kind.read_only:
            click.echo(f"{each.label} skipped: the control plane writes this kind by itself", err=True)
    return left


def _warn(texts: Iterable[str], about: str = "") -> None:
    """Kuma's line, with what it is `about` where there is more than one document."""
    for text in texts:
        click.echo(f"Warning: {about}: {text}" if about else f"Warning: {text}", err=True)


def _check_all(found: Sequence[sources.Piece], unfilled: Sequence[str]) -> list[_Wanted]:
    """Every document as a resource; complaints go to stderr, one a document, and end the command."""
    wanted = []
    broken = False
    for index, piece in enumerate(found):
        try:
            wanted.append(check(piece))
        except _Unacceptable as problem:
            broken = True
            _warn(problem.warnings, f"resource[{index}]" if len(found) > 1 else "")
            click.echo(f"resource[{index}]: {problem}{piece.place}", err=True)
    if broken:
        for name in unfilled:
            click.echo(f"Hint: {{{{ {name} }}}} was not filled in, use --var {name}=VALUE", err=True)
        raise grammar.CommandError("failed to validate some resources")
    return wanted


def check(piece: sources.Piece) -> _Wanted:
    """The resource that one document spells, valid as far as this program can tell; _Unacceptable otherwise."""
    from kuma.resources import codec, unknown
    from kuma.resources import meta as metas

    document = _read(piece)
    kind = _kind_of(document)
    mesh = str(document.get("mesh") or "")
    if kind.scope is kind_.Scope.MESH and not mesh and kind.envelope is kind_.Envelope.SPEC:
        mesh = "default"
        document = {**document, "mesh": mesh}
    warnings = list(unknown.warnings(kind, document))
    try:
        resource = codec.decode(kind, document)
        violations = list(kind.validate(resource))
    except errors.BadRequest as problem:
        raise _Unacceptable(f"failed to parse resource: {problem}{_blamed(problem)}", warnings) from None
    except errors.InvalidResource as problem:
        raise _Unacceptable(f"failed to parse resource: {problem}", warnings) from None
    if violations:
        raise _Unacceptable(f"failed to parse resource: {errors.InvalidResource(violations)}", warnings)
    meta = list(metas.violations(resource.meta, kind.scope))
    if meta:
        raise _Unacceptable(f"failed to read meta: {errors.InvalidResource(meta)}", warnings)
    return _Wanted(resource, mesh, warnings, piece.place)


def _blamed(problem: errors.BadRequest) -> str:
    """The field that could not be read and what it takes, as an addition to Kuma's text, which names neither."""
    parts = [f"field {problem.field}"] if problem.field else []
    if problem.allowed:
        parts.append(f"allowed: {', '.join(problem.allowed)}")
    return f" ({'; '.join(parts)})" if parts else ""


def _read(piece: sources.Piece) -> Mapping[str, Any]:
    import yaml

    from kuma.base import gotext

    try:
        document = documents.from_yaml(piece.text)
    except yaml.YAMLError as problem:
        reason = f"error converting YAML to JSON: {_yaml_reason(problem, piece)}"
        raise _Unacceptable(f"failed to parse resource: invalid meta type: {gotext.quote(reason)}") from None
    if not isinstance(document, Mapping):
        reason = f"json: cannot unmarshal {gotext.json_type(document)} into Go value of type v1alpha1.ResourceMeta"
        raise _Unacceptable(f"failed to parse resource: invalid meta type: {gotext.quote(reason)}")
    return document


def _kind_of(document: Mapping[str, Any]) -> kind_.Kind[Any]:
    name = document.get("type")
    kind = kinds.catalog().find(name) if isinstance(name, str) else None
    if kind is None:
        raise _Unacceptable(f'failed to parse resource: invalid resource type "{name or ""}"')
    return kind


def _yaml_reason(problem: Exception, piece: sources.Piece) -> str:
    """A parser's complaint with the line where it arose: in the first document as libyaml's callers count (and so as
    Kuma says it), further down in the file as an editor counts.
    """
    import yaml

    if not isinstance(problem, yaml.MarkedYAMLError):
        return f"yaml: {' '.join(str(problem).split())}"
    marks = [mark.line for mark in (problem.context_mark, problem.problem_mark) if mark is not None]
    if piece.lines_above and marks:
        # What is never closed is noticed at the end: then the place where it was opened says more.
        within = marks[-1] if marks[-1] < len(piece.text.splitlines()) else marks[0]
        return f"yaml: line {piece.lines_above + within + 1}: {problem.problem}"
    marks = [line for line in marks if line]
    line = marks[0] + (1 if isinstance(problem, yaml.scanner.ScannerError) else 0) if marks else 0
    return f"yaml: line {line}: {problem.problem}" if line else f"yaml: {problem.problem}"


def _shown(wanted: _Wanted) -> str:
    from kuma.resources import codec

    return documents.resource_to_yaml(codec.encode(wanted.resource))


def _put(plane: rest.ControlPlane, wanted: _Wanted, *, are_several: bool) -> None:
    from kuma.resources import codec

    resource = wanted.resource
    path = kinds.path(resource.kind, resource.meta.mesh, resource.meta.name)
    body = {key: value for key, value in codec.encode(resource).items() if key not in _SERVERS_OWN}
    try:
        reply = plane.call("PUT", path, body=body)
    except rest.Refused as problem:
        reason = f"{problem.inline()}{wanted.place}"
        raise grammar.CommandError(f"{wanted.label}: failed server side: {reason}") from None
    except rest.Unreachable as problem:
        raise grammar.CommandError(f"{wanted.label}: failed server side: {problem}") from None
    _warn([*wanted.warnings, *(reply.json().get("warnings") or [])], wanted.label if are_several else "")
    click.echo(f"{wanted.label} {'Created' if reply.status == rest.HTTP_CREATED else 'Updated'}")


_SERVERS_OWN = frozenset({"creationTime", "modificationTime", "kri"})
"""What the control plane decides; sent back it would be ignored."""

COMMAND = grammar.Command(
    "apply",
    _apply,
    summary="Create or update resources",
    description="Create or update the resources in a file, a directory, a URL or standard input.",
    flags=[
        flags.Flag("dry-run", form=flags.Form.SWITCH, help="print the resources instead of writing them"),
        flags.Flag("file", short="f", required=True, help="file, directory, URL, or - for standard input"),
        flags.Flag("var", short="v", form=flags.Form.MAP, help="value for a {{ placeholder }} in the documents"),
    ],
)
