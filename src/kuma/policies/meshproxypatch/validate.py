"""Rules of a MeshProxyPatch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.policy_engine.writing import entries, envoy_yaml, json_patch
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshproxypatch import model

_OPERATIONS = ("Add", "Patch", "Remove")
_FILTER_OPERATIONS = ("AddFirst", "AddLast", "AddBefore", "AddAfter", "Patch", "Remove")
_NEIGHBOUR = "must be defined. You need to pick a filter {} which this one will be added"


class _Member(NamedTuple):
    """One kind of modification: its wire name, the type of its value, and what it can do."""

    name: str
    type_name: str
    operations: tuple[str, ...]


_MEMBERS = {
    "cluster": _Member("cluster", envoy_yaml.CLUSTER, _OPERATIONS),
    "listener": _Member("listener", envoy_yaml.LISTENER, _OPERATIONS),
    "network_filter": _Member("networkFilter", envoy_yaml.NETWORK_FILTER, _FILTER_OPERATIONS),
    "http_filter": _Member("httpFilter", envoy_yaml.HTTP_FILTER, _FILTER_OPERATIONS),
    "virtual_host": _Member("virtualHost", envoy_yaml.VIRTUAL_HOST, _OPERATIONS),
}


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshProxyPatch."""
    spec: model.MeshProxyPatch = resource.spec
    yield from entries.check_top(resource, spec.target_ref, gateway_tags=False)
    path = "spec.default.appendModifications"
    if not spec.default.append_modifications:
        yield Violation(path, "must not be empty")
    for index, entry in enumerate(spec.default.append_modifications or ()):
        written = [name for name in _MEMBERS if getattr(entry, name) is not None]
        if len(written) == 1:
            member = _MEMBERS[written[0]]
            yield from _check_modification(f"{path}[{index}].{member.name}", getattr(entry, written[0]), member)
            continue
        yield Violation(
            f"{path}[{index}]",
            f"exactly one modification can be defined at a time. Currently, {len(written)} modifications are defined",
        )


def _check_modification(path: str, found: Any, member: _Member) -> Iterator[Violation]:
    """Violations of one modification; `found` is any of the model's five."""
    operation = found.operation
    if operation not in member.operations:
        available = ", ".join(gotext.quote(each) for each in member.operations)
        yield Violation(f"{path}.operation", f"invalid operation. Available operations: {available}")
        return
    yield from _check_match(path, found, member)
    if operation == "Remove":
        if found.value is not None:
            yield Violation(f"{path}.value", "must not be defined")
    elif operation == "Patch":
        yield from _check_patch(path, found, member)
    elif found.value is None:
        yield Violation(f"{path}.value", "must be defined")
    else:
        yield from envoy_yaml.check(f"{path}.value", found.value, member.type_name)


def _check_match(path: str, found: Any, member: _Member) -> Iterator[Violation]:
    """What is added to a list of its own has no match; a filter that is put beside another, or patched, has to name it."""
    name = found.match.name if found.match is not None else None
    if found.operation == "Add":
        if member.name == "virtualHost":
            if name is not None:
                yield Violation(f"{path}.match.name", "must not be defined")
        elif found.match is not None:
            yield Violation(f"{path}.match", "must not be defined")
    elif name is None and member.operations is _FILTER_OPERATIONS:
        if found.operation in ("AddBefore", "AddAfter"):
            where = found.operation.removeprefix("Add").lower()
            yield Violation(f"{path}.match.name", _NEIGHBOUR.format(where))
        elif found.operation == "Patch":
            yield Violation(f"{path}.match.name", "must be defined")


def _check_patch(path: str, found: Any, member: _Member) -> Iterator[Violation]:
    """A value is merged into what is there, so it need not be complete."""
    if found.value is not None and found.json_patches is not None:
        yield Violation(path, f"{member.name} must have only one type defined: value, jsonPatches")
    elif found.value is not None:
        yield from envoy_yaml.check(f"{path}.value", found.value, member.type_name, whole=False)
    elif found.json_patches is not None:
        yield from json_patch.check(f"{path}.jsonPatches", found.json_patches)
    else:
        yield Violation(path, f"{member.name} must have exactly one defined: value, jsonPatches")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go, and about what Envoy does not know."""
    spec: model.MeshProxyPatch = resource.spec
    yield from targetref.deprecations(spec.target_ref)
    for index, entry in enumerate(spec.default.append_modifications or ()):
        for attribute, member in _MEMBERS.items():
            found = getattr(entry, attribute)
            if found is not None and found.value is not None:
                path = f"spec.default.appendModifications[{index}].{member.name}.value"
                yield from envoy_yaml.unknown(path, found.value, member.type_name)
