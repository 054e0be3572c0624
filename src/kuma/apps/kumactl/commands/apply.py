"""`kumactl apply`: checks every document here first, then writes them one after the other.

A document that is broken stops the whole command before anything is written. Rules and texts: Kuma's `apply`.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from kuma.apps.kumactl import documents, flags, grammar, kinds, rest, session
from kuma.base import errors
from kuma.resources import kind as kind_
from kuma.resources import resource as res

FETCH_SECONDS = 10
_SEPARATOR = re.compile(r"^---(?:[ \t].*)?$", re.MULTILINE)
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A document that passed every local check. `mesh` is what the user wrote, shown even for global kinds."""

    resource: res.Resource[Any]
    mesh: str

    @property
    def label(self) -> str:
        return f'resource type="{self.resource.kind.name}" mesh="{self.mesh}" name="{self.resource.meta.name}"'


class _Unacceptable(errors.KumaError):
    """Why one document cannot be applied."""


def _apply(call: grammar.Invocation) -> None:
    text = read_source(call.text("file"))
    values = call.pairs("var")
    if values:
        text = fill_in(text, values)
    found = list(split(text))
    if not found:
        raise grammar.CommandError("no resource(s) passed to apply")
    wanted = _check_all(found)
    if call.switch("dry-run"):
        click.echo("---\n".join(_shown(each) for each in wanted), nl=False)
        return
    plane = session.connect_checked(call)
    progress = session.Progress("applying", len(wanted))
    try:
        for done, each in enumerate(wanted, start=1):
            progress.step(done)
            _put(plane, each)
    finally:
        progress.end()


def read_source(source: str) -> str:
    """The text behind `-f`: standard input, a URL, a file, or every YAML and JSON file of a directory, joined."""
    if source == "-":
        return sys.stdin.read()
    if "://" in source:
        return _fetch(source)
    path = Path(source)
    try:
        if path.is_dir():
            names = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES and each.is_file())
            return "\n---\n".join(each.read_text() for each in names)
        return path.read_text()
    except OSError as problem:
        reason = (problem.strerror or str(problem)).lower()
        verb = "stat" if isinstance(problem, FileNotFoundError) else "open"
        raise grammar.CommandError(f"error while reading provided file: {verb} {source}: {reason}") from None
    except UnicodeDecodeError:
        raise grammar.CommandError(f"error while reading provided file: {source} is not UTF-8 text") from None


def _fetch(url: str) -> str:
    import urllib.error
    import urllib.request

    if not rest.valid_url(url):
        raise grammar.CommandError("invalid URL for --file")
    try:
        with urllib.request.urlopen(url, timeout=FETCH_SECONDS) as answer:  # only http and https get here
            if answer.status != rest.HTTP_OK:
                raise grammar.CommandError("error while retrieving URL")
            body: bytes = answer.read()
            return body.decode()
    except urllib.error.HTTPError:
        raise grammar.CommandError("error while retrieving URL") from None
    except OSError as problem:
        raise grammar.CommandError(f'error with GET http request: Get "{url}": {problem}') from None


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """`text` with its mustache placeholders replaced; `mesh.name=x` answers `{{ mesh.name }}`."""
    import chevron

    tree: dict[str, Any] = {}
    for key, value in values.items():
        *path, last = key.split(".")
        at = tree
        for part in path:
            inner = at.get(part)
            at[part] = inner if isinstance(inner, dict) else {}
            at = at[part]
        at[last] = value
    filled: str = chevron.render(text, tree, partials_path=None, partials_dict={})
    return filled


def split(text: str) -> Iterator[str]:
    """The documents of a YAML text that hold anything but comments."""
    for part in _SEPARATOR.split(text):
        if any(line.strip() and not line.lstrip().startswith("#") for line in part.splitlines()):
            yield part.lstrip("\n")


def _check_all(found: list[str]) -> list[_Wanted]:
    """Every document as a resource; complaints go to stderr, one a document, and end the command."""
    wanted = []
    broken = False
    for index, text in enumerate(found):
        try:
            wanted.append(check(text))
        except _Unacceptable as problem:
            broken = True
            click.echo(f"resource[{index}]: {problem}", err=True)
    if broken:
        raise grammar.CommandError("failed to validate some resources")
    return wanted


def check(text: str) -> _Wanted:
    """The resource that one document spells, valid as far as this program can tell; _Unacceptable otherwise."""
    from kuma.resources import codec
    from kuma.resources import meta as metas

    document = _read(text)
    kind = _kind_of(document)
    mesh = str(document.get("mesh") or "")
    if kind.scope is kind_.Scope.MESH and not mesh and kind.envelope is kind_.Envelope.SPEC:
        mesh = "default"
        document = {**document, "mesh": mesh}
    try:
        resource = codec.decode(kind, document)
        violations = list(kind.validate(resource))
    except (errors.BadRequest, errors.InvalidResource) as problem:
        raise _Unacceptable(f"failed to parse resource: {problem}") from None
    if violations:
        raise _Unacceptable(f"failed to parse resource: {errors.InvalidResource(violations)}")
    meta = list(metas.violations(resource.meta, kind.scope))
    if meta:
        raise _Unacceptable(f"failed to read meta: {errors.InvalidResource(meta)}")
    return _Wanted(resource, mesh)


def _read(text: str) -> Mapping[str, Any]:
    import yaml

    from kuma.base import gotext

    try:
        document = documents.from_yaml(text)
    except yaml.YAMLError as problem:
        reason = f"error converting YAML to JSON: {_yaml_reason(problem)}"
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


def _yaml_reason(problem: Exception) -> str:
    """A parser's complaint with the line where it arose, counted as libyaml's callers count."""
    import yaml

    if not isinstance(problem, yaml.MarkedYAMLError):
        return f"yaml: {' '.join(str(problem).split())}"
    marks = [mark.line for mark in (problem.context_mark, problem.problem_mark) if mark is not None and mark.line]
    line = marks[0] + (1 if isinstance(problem, yaml.scanner.ScannerError) else 0) if marks else 0
    return f"yaml: line {line}: {problem.problem}" if line else f"yaml: {problem.problem}"


def _shown(wanted: _Wanted) -> str:
    from kuma.resources import codec

    return documents.resource_to_yaml(codec.encode(wanted.resource))


def _put(plane: rest.ControlPlane, wanted: _Wanted) -> None:
    from kuma.resources import codec

    resource = wanted.resource
    path = kinds.path(resource.kind, resource.meta.mesh, resource.meta.name)
    body = {key: value for key, value in codec.encode(resource).items() if key not in _SERVERS_OWN}
    try:
        reply = plane.call("PUT", path, body=body)
    except rest.Refused as problem:
        raise grammar.CommandError(f"{wanted.label}: failed server side: {problem.inline()}") from None
    except rest.Unreachable as problem:
        raise grammar.CommandError(f"{wanted.label}: failed server side: {problem}") from None
    for warning in reply.json().get("warnings") or []:
        click.echo(f"Warning: {warning}", err=True)
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
