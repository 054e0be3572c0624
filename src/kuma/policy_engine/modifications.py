"""Changes to finished Envoy resources: adding, removing and patching clusters, listeners, filters and virtual hosts.

MeshProxyPatch and ProxyTemplate say them. A resource goes through all changes in their order. One that is added takes
the place of the one that had its name, and goes through the changes that follow. A change that cannot be made leaves
the resource as it was and is reported. Source: Kuma's documentation, "MeshProxyPatch".
"""

import contextlib
import enum
import functools
from collections.abc import Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass

from kuma.discovery import resources as xds
from kuma.envoy import api, constraints, http, merge, names, written
from kuma.plan import nodes
from kuma.policy_engine.writing import envoy_yaml, json_patch
from kuma.resources import resource as res
from kuma.resources import selectors

PROXY_TEMPLATE = "proxy-template-modifications"
"""Origin of what ProxyTemplates add, after all other policies."""

TAGS = "io.kuma.tags"
_PARSED = 1024


class Target(enum.Enum):
    """What is changed, by its name in policies."""

    CLUSTER = "cluster"
    LISTENER = "listener"
    NETWORK_FILTER = "networkFilter"
    HTTP_FILTER = "httpFilter"
    VIRTUAL_HOST = "virtualHost"


class Operation(enum.Enum):
    """What is done; all but the first three are for filters, whose order counts."""

    ADD = "add"
    REMOVE = "remove"
    PATCH = "patch"
    ADD_FIRST = "addfirst"
    ADD_LAST = "addlast"
    ADD_BEFORE = "addbefore"
    ADD_AFTER = "addafter"


_WHOLE = {Target.CLUSTER: xds.CLUSTER, Target.LISTENER: xds.LISTENER}
TYPES = {
    Target.CLUSTER: envoy_yaml.CLUSTER,
    Target.LISTENER: envoy_yaml.LISTENER,
    Target.NETWORK_FILTER: envoy_yaml.NETWORK_FILTER,
    Target.HTTP_FILTER: envoy_yaml.HTTP_FILTER,
    Target.VIRTUAL_HOST: envoy_yaml.VIRTUAL_HOST,
}
"""The Envoy type of what is added or merged, by its full name."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a change is about; absent members fit everything. The last three say in which resource it has to be."""

    name: str | None = None
    origin: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    listener: str | None = None
    route_configuration: str | None = None


@dataclass(frozen=True, slots=True)
class Modification:
    """One change. `value` is Envoy's configuration as YAML, `json_patches` stand in its place. `path` is for reports."""

    target: Target
    operation: Operation
    match: Match = Match()
    value: str = ""
    json_patches: tuple[json_patch.Block, ...] = ()
    path: str = ""


@dataclass(frozen=True, slots=True)
class Modified:
    """What became of a resource, None where it was removed, and what could not be done.

    `authors`: whose changes they are, where they are known.
    """

    message: api.Message | None
    problems: tuple[str, ...] = ()
    authors: tuple[res.ResourceRef, ...] = ()


def added(modifications: Sequence[Modification], origin: str) -> Iterator[tuple[str, Modified]]:
    """The resources that are added, as their type URLs and what later changes make of them."""
    for at, each in enumerate(modifications, start=1):
        kind = _WHOLE.get(each.target)
        if kind is not None and each.operation is Operation.ADD:
            try:
                message = _copy(_value(each))
            except ValueError as failure:
                yield kind, Modified(None, (f"{each.path}: {failure}",))
                continue
            yield kind, modified(modifications[at:], kind, message, origin)


def add_to(
    plan: nodes.ProxyPlan, modifications: Sequence[Modification], origin: str, authors: Iterable[res.ResourceRef]
) -> None:
    """Adds what `added` gives to a plan. `origin` is that of the new resources, as `match.origin` may name it."""
    authors = tuple(authors)
    for kind, made in added(modifications, origin):
        plan.problems.extend(made.problems)
        if made.message is None:
            continue
        if kind == xds.LISTENER:
            listener = nodes.ListenerNode(made.message.name, made.message, origin=origin)
            nodes.add_authors(listener, authors)
            plan.listeners.append(listener)
        else:
            cluster = nodes.ClusterNode(made.message.name, made.message, origin=origin)
            nodes.add_authors(cluster, authors)
            plan.clusters.append(cluster)


def modified(modifications: Sequence[Modification], kind: str, message: api.Message, origin: str) -> Modified:
    """A cluster or listener after all changes; `message` stays as it is."""
    name, problems = message.name, list[str]()
    for each in modifications:
        if each.target in (Target.CLUSTER, Target.LISTENER):
            if _WHOLE[each.target] != kind:
                continue
            if each.operation is Operation.ADD:
                if _name_of(each) == name:
                    return Modified(None, tuple(problems))
                continue
        elif kind != xds.LISTENER:
            continue
        if not _is_about(each, message, name, origin):
            continue
        if each.operation is Operation.REMOVE and each.target in _WHOLE:
            return Modified(None, tuple(problems))
        try:
            message = _changed(each, message)
        except ValueError as failure:
            problems.append(f"{each.path}: {name} stays as it was: {failure}")
    return Modified(message, tuple(problems))


def brought(changes: Iterable[Modification]) -> Iterator[tuple[str, api.Message]]:
    """The clusters and listeners that changes add, as they are written; those that nobody can read are passed over."""
    for each in changes:
        if each.target in _WHOLE and each.operation is Operation.ADD:
            with contextlib.suppress(ValueError):
                yield _WHOLE[each.target], _value(each)


def finds(change: Modification, kind: str, message: api.Message, origin: str) -> bool:
    """Whether a change finds what it is about in one resource. A whole resource that is added looks for nothing."""
    if change.operation is Operation.ADD and change.target in _WHOLE:
        return True
    if kind != _WHOLE.get(change.target, xds.LISTENER) or not _is_about(change, message, message.name, origin):
        return False
    return change.target in _WHOLE or any(_is_meant(change, within) for within in _names_within(change, message))


def _is_meant(change: Modification, found: Sequence[str]) -> bool:
    """Whether a change has a place among the filters or virtual hosts of these names."""
    if change.operation in (Operation.ADD, Operation.ADD_FIRST, Operation.ADD_LAST):
        return True
    return bool(found) if change.match.name is None else change.match.name in found


def _names_within(change: Modification, listener: api.Message) -> Iterator[Sequence[str]]:
    """The names of each list of a listener that a change may edit."""
    for chain in listener.filter_chains:
        if change.target is Target.NETWORK_FILTER:
            yield [each.name for each in chain.filters]
            continue
        for each in chain.filters:
            if each.name == http.CONNECTION_MANAGER and each.typed_config.Is(api.HttpConnectionManager.DESCRIPTOR):
                manager = api.HttpConnectionManager()
                each.typed_config.Unpack(manager)
                if change.target is Target.HTTP_FILTER:
                    yield [one.name for one in manager.http_filters]
                elif manager.HasField("route_config") and _is_route_configuration(change, manager):
                    yield [host.name for host in manager.route_config.virtual_hosts]


def _is_route_configuration(change: Modification, manager: api.Message) -> bool:
    return change.match.route_configuration in (None, manager.route_config.name)


def _is_about(change: Modification, message: api.Message, name: str, origin: str) -> bool:
    """Whether a change is about a resource or about something in it."""
    match = change.match
    if match.origin is not None and match.origin != origin:
        return False
    if change.target is Target.CLUSTER and match.name not in (None, name):
        return False
    listener = match.name if change.target is Target.LISTENER else match.listener
    if listener is not None and not _is_same_listener(listener, name):
        return False
    if not match.tags:
        return True
    found = message.metadata.filter_metadata
    tags = {key: str(value) for key, value in found[TAGS].items()} if TAGS in found else {}
    return selectors.matches(dict(match.tags), tags)


@functools.cache
def _passthrough_names() -> dict[str, str]:
    """Listeners whose name depends on the naming of the proxy, each by its other name."""
    pairs = [
        (names.passthrough(direction, family, False), names.passthrough(direction, family, True))
        for direction in ("inbound", "outbound")
        for family in ("ipv4", "ipv6")
    ]
    return dict(pairs) | {new: old for old, new in pairs}


def _is_same_listener(wanted: str, name: str) -> bool:
    return wanted == name or _passthrough_names().get(wanted) == name


def _changed(change: Modification, message: api.Message) -> api.Message:
    """A changed copy, or `message` itself where nothing in it is meant; ValueError where it cannot be done."""
    out = _copy(message)
    if change.target in _WHOLE:
        _patch(change, out)
    for chain in out.filter_chains if change.target not in _WHOLE else ():
        if change.target is Target.NETWORK_FILTER:
            _edit_filters(change, chain.filters)
            continue
        for each in chain.filters:
            if each.name == http.CONNECTION_MANAGER and each.typed_config.Is(api.HttpConnectionManager.DESCRIPTOR):
                _edit_manager(change, each.typed_config)
    if out == message:
        return message
    broken = constraints.first_violation(out)
    if broken and not constraints.first_violation(message):
        raise ValueError(broken)
    return out


def _edit_manager(change: Modification, packed: api.Message) -> None:
    """Edits the filters or virtual hosts of a connection manager in an `Any`."""
    manager = api.HttpConnectionManager()
    packed.Unpack(manager)
    if change.target is Target.HTTP_FILTER:
        _edit_filters(change, manager.http_filters)
    elif manager.HasField("route_config") and _is_route_configuration(change, manager):
        _edit_hosts(change, manager.route_config.virtual_hosts)
    packed.CopyFrom(api.pack(manager))


def _edit_hosts(change: Modification, hosts: MutableSequence[api.Message]) -> None:
    if change.operation is Operation.ADD:
        hosts.append(_value(change))
        return
    for at in reversed([at for at, host in enumerate(hosts) if change.match.name in (None, host.name)]):
        if change.operation is Operation.REMOVE:
            del hosts[at]
        else:
            _patch(change, hosts[at])


def _edit_filters(change: Modification, filters: MutableSequence[api.Message]) -> None:
    wanted, operation = change.match.name, change.operation
    meant = [at for at, each in enumerate(filters) if wanted in (None, each.name)]
    if operation is Operation.ADD_FIRST:
        filters.insert(0, _value(change))
    elif operation is Operation.ADD_LAST:
        filters.append(_value(change))
    elif operation in (Operation.ADD_BEFORE, Operation.ADD_AFTER):
        if meant and wanted is not None:
            filters.insert(meant[0] + (operation is Operation.ADD_AFTER), _value(change))
    elif operation is Operation.REMOVE:
        for at in reversed(meant):
            del filters[at]
    else:
        for at in meant:
            _patch_filter(change, filters[at])


def _patch_filter(change: Modification, found: api.Message) -> None:
    """Patches the filter's own configuration, whatever type it has."""
    if not change.json_patches:
        merge.merge_packed(found.typed_config, _value(change).typed_config)
        return
    if not found.HasField("typed_config"):
        raise ValueError(f"filter {found.name} has no configuration to patch")
    inner = written.unpack(found.typed_config)
    _patch(change, inner)
    found.typed_config.CopyFrom(api.pack(inner))


def _patch(change: Modification, message: api.Message) -> None:
    if not change.json_patches:
        merge.merge(message, _value(change))
        return
    patched = json_patch.apply(written.as_document(message), change.json_patches)
    message.CopyFrom(written.read(message.DESCRIPTOR.full_name, patched, whole=False))


def _name_of(change: Modification) -> str | None:
    try:
        return str(_value(change).name)
    except ValueError:
        return None


def _value(change: Modification) -> api.Message:
    """The message that a change brings, shared by all who ask; the empty one where it brings none."""
    return _read(change.value, TYPES[change.target])


@functools.lru_cache(maxsize=_PARSED)
def _read(text: str, type_name: str) -> api.Message:
    return envoy_yaml.read(text, type_name, whole=False)


def _copy(message: api.Message) -> api.Message:
    out = type(message)()
    out.CopyFrom(message)
    return out
