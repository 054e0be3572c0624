"""`kumactl export`: the resources of a control plane as YAML that another one can be given.

Documents are printed as they are read, kind by kind and page by page, so that a large mesh needs no memory here.
Profiles, order and layout: Kuma's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from kuma.apps.kumactl import documents, flags, grammar, kinds, output, portable, rest, session
from kuma.resources import kind as kind_

FEDERATION = ("federation", "federation-with-policies")
PROFILES = ("all", *FEDERATION, "no-dataplanes")
FORMATS = ("universal", "kubernetes")
PAGE = 500
"""Resources a request; the control plane accepts 1,000 at most."""
_FIRST = ("Mesh", "Secret")
_LAST = ("GlobalSecret",)
_DATAPLANES = frozenset({"Dataplane", "DataplaneInsight"})
_NOT_IN_FEDERATION = frozenset({"MeshGateway"})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the flags ask for."""

    profile: str
    format: str
    namespace: str
    with_admin: bool

    @property
    def keeps_origin(self) -> bool:
        return self.profile not in FEDERATION

    def takes(self, listed: Mapping[str, Any]) -> bool:
        """Whether the profile holds a kind, as `/_resources` describes it."""
        name = listed.get("name")
        if self.profile == "all":
            return True
        if self.profile == "no-dataplanes":
            return name not in _DATAPLANES
        if self.profile == "federation":
            is_new_policy = (listed.get("policy") or {}).get("isTargetRef", False)
            return bool(listed.get("includeInFederation")) and not is_new_policy and name not in _NOT_IN_FEDERATION
        return bool(listed.get("includeInFederation"))


def _export(call: grammar.Invocation) -> None:
    plane = session.connect_checked(call)
    wanted = _Wanted(
        call.text("profile"),
        call.text("format"),
        call.text("system-namespace"),
        call.switch("include-admin") or call.text("profile") in FEDERATION,
    )
    try:
        _run(plane, wanted)
    except rest.Unreachable as problem:
        raise grammar.CommandError(f"failed to export: {problem}") from None


def _run(plane: rest.ControlPlane, wanted: _Wanted) -> None:
    click.echo(_heading(plane.get("/")))
    if wanted.profile not in PROFILES:
        raise grammar.CommandError(f'invalid profile: "{wanted.profile}"')
    if wanted.format not in FORMATS:
        raise grammar.CommandError(f'invalid format: "{wanted.format}"')
    taken = _taken(plane, wanted)
    progress = session.Progress("exporting", len(taken))
    meshes: list[str] = []
    try:
        for done, kind in enumerate(taken, start=1):
            progress.step(done, kind.name)
            for document in _of_kind(plane, kind, meshes):
                if kind.name == "Mesh":
                    meshes.append(str(document.get("name", "")))
                _print(plane, wanted, kind, document)
    finally:
        progress.end()


def _heading(index: Mapping[str, Any]) -> str:
    parts = (("Product", "product"), ("Version", "version"), ("Hostname", "hostname"), ("ClusterId", "clusterId"))
    shown = [f"{label}: {index.get(key, '')}" for label, key in (*parts, ("InstanceId", "instanceId"))]
    return f"# {', '.join(shown)}"


def _taken(plane: rest.ControlPlane, wanted: _Wanted) -> list[kind_.Kind[Any]]:
    """The kinds to export, in order. Mesh is always first, and asked for even where the profile leaves it out."""
    found: list[kind_.Kind[Any]] = []
    unknown: list[str] = []
    for listed in plane.get("/_resources").get("resources") or []:
        if not wanted.takes(listed):
            continue
        kind = kinds.catalog().find(str(listed.get("name", "")))
        if kind is None:
            unknown.append(str(listed.get("name", "")))
        elif wanted.with_admin or not kind.admin_only:
            found.append(kind)
    if unknown:
        text = f"The following types won't be exported because they are unknown to kumactl: {', '.join(unknown)}"
        click.echo(f"# {text}")
        click.echo(f"WARNING: {text}. Are you using a compatible version of kumactl?", err=True)
    return sorted(found, key=lambda kind: (_place(kind.name), kind.name))


def _place(name: str) -> int:
    if name in _FIRST:
        return _FIRST.index(name)
    return len(_FIRST) + (name in _LAST)


def _of_kind(plane: rest.ControlPlane, kind: kind_.Kind[Any], meshes: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """Every resource of a kind, mesh by mesh, by name."""
    if kind.scope is kind_.Scope.MESH:
        for mesh in sorted(meshes):
            yield from _pages(plane, kinds.collection_path(kind, mesh))
    elif kind.name in _LAST:
        yield from portable.order_global_secrets(_pages(plane, kinds.collection_path(kind, "")))
    else:
        yield from _pages(plane, kinds.collection_path(kind, ""))


def _pages(plane: rest.ControlPlane, path: str) -> Iterator[Mapping[str, Any]]:
    offset = ""
    while True:
        page = plane.get(path, {"size": str(PAGE)} | ({"offset": offset} if offset else {}))
        yield from page.get("items") or []
        offset = output.next_offset(page.get("next"))
        if not offset:
            return


def _print(plane: rest.ControlPlane, wanted: _Wanted, kind: kind_.Kind[Any], document: Mapping[str, Any]) -> None:
    if wanted.format == "universal":
        shown = portable.universal(document, keep_origin=wanted.keeps_origin)
        click.echo("---\n" + documents.resource_to_yaml(shown), nl=False)
        return
    path = kinds.path(kind, str(document.get("mesh", "")), str(document.get("name", "")))
    shown = plane.get(path, {"format": "kubernetes"})
    if wanted.profile != "all" and not portable.in_namespace(shown, wanted.namespace):
        return
    click.echo("---\n" + documents.to_yaml(portable.kubernetes(shown, keep_origin=wanted.keeps_origin)), nl=False)


COMMAND = grammar.Command(
    "export",
    _export,
    summary="Print the resources of a control plane, to be applied to another one",
    description=(
        "Print the resources of a control plane as YAML that can be applied to another one.\n\n"
        "federation                what a global control plane needs to take over a zone, without new policies\n"
        "federation-with-policies  the same with policies\n"
        "all                       everything\n"
        "no-dataplanes             everything but the proxies"
    ),
    flags=[
        flags.Flag("format", short="f", default="universal", help=f"format: one of {'|'.join(FORMATS)}"),
        flags.Flag("include-admin", short="a", form=flags.Form.SWITCH, help="with secrets, for profiles without them"),
        flags.Flag("profile", short="p", default="federation", help=f"what to export: one of {'|'.join(PROFILES)}"),
        flags.Flag(
            "system-namespace",
            short="n",
            default="kuma-system",
            help="namespace of the control plane; with --format kubernetes nothing of others is exported",
        ),
    ],
)
