"""Rules of names, mesh names and labels, for resources of every kind.

Source: the naming rules of Kuma's documentation; labels follow Kubernetes (kubernetes.io, "Labels and selectors").
"""

import re
from collections.abc import Iterator, Mapping

from kuma.base import labels
from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources import selectors

NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
BAD_NAME = (
    "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
    "'-' or '.', and must start and end with an alphanumeric character"
)
LONGEST_NAME = 253
_MESH_NAME = re.compile(r"[0-9a-z\-_.]*")
_BAD_MESH_NAME = "invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_', '.' symbols."
_RFC_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_IMMUTABLE = (labels.ORIGIN, labels.ZONE, labels.DISPLAY_NAME)
_RFC_1035_KINDS = frozenset({"Mesh", "Zone", "MeshService", "MeshExternalService", "MeshMultiZoneService"})


def check_name(name: str) -> Iterator[Violation]:
    """Violations of a resource's name."""
    if not name:
        yield Violation("name", "cannot be empty")
        return
    if len(name) > LONGEST_NAME:
        yield Violation("name", f"value length must less or equal {LONGEST_NAME}")
    if not NAME.fullmatch(name):
        yield Violation("name", BAD_NAME)


def check_mesh_name(mesh: str) -> Iterator[Violation]:
    """Violations of the mesh that a mesh-scoped resource names."""
    if not mesh:
        yield Violation("mesh", "cannot be empty")
        return
    if len(mesh) > LONGEST_NAME:
        yield Violation("mesh", f"value length must less or equal {LONGEST_NAME}")
    if not _MESH_NAME.fullmatch(mesh):
        yield Violation("mesh", _BAD_MESH_NAME)


def violations(meta: res.Meta, scope: kinds.Scope) -> Iterator[Violation]:
    """Violations of name, mesh (where the kind belongs to one) and labels."""
    yield from check_name(meta.name)
    if scope is kinds.Scope.MESH:
        yield from check_mesh_name(meta.mesh)
    yield from check_labels(meta.labels)


def dns1035_problems(text: str) -> list[str]:
    """Why a text is no DNS label of RFC 1035, in Kubernetes' words; empty where it is one."""
    problems = []
    if len(text) > 63:
        problems.append("must be no more than 63 characters")
    if not _RFC_1035.fullmatch(text):
        problems.append(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
            "character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for "
            "validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        )
    return problems


def subdomain_problems(text: str) -> list[str]:
    """Why a text is no DNS subdomain of RFC 1123, in Kubernetes' words; empty where it is one."""
    problems = []
    if len(text) > LONGEST_NAME:
        problems.append(f"must be no more than {LONGEST_NAME} characters")
    if not NAME.fullmatch(text):
        problems.append(SUBDOMAIN_RULE)
    return problems


def name_warnings(kind_name: str, name: str) -> Iterator[str]:
    """Warnings about names that cannot stand in a domain name, for the kinds whose names do."""
    if kind_name not in _RFC_1035_KINDS:
        return
    problems = dns1035_problems(name)
    if problems:
        yield (
            f"Invalid {kind_name} resource name: '{name}'. It does not conform to the DNS format (RFC 1035). "
            f"This is deprecated. Errors: {', '.join(problems)}"
        )


def check_labels(given: Mapping[str, str]) -> Iterator[Violation]:
    """Violations of label keys and values by themselves, sorted by key.

    When a grace period began is a time, as the control plane writes it: what it shows can be applied again.
    """
    for key in sorted(given):
        path = selectors.key_path("labels", key)
        for reason in _qualified_name_errors(key):
            yield Violation(path, reason)
        if key == labels.DELETION_GRACE:
            continue
        for reason in _label_value_errors(given[key]):
            yield Violation(path, reason)


def check_origin(
    given: Mapping[str, str], *, mesh: str, zone: str, is_global: bool, is_federated: bool, new_style: bool
) -> Iterator[Violation]:
    """Violations of the labels that say where a resource comes from.

    `zone` is the control plane's own zone; `is_federated` a zone that has a global control plane; `new_style` kinds
    with the `spec` envelope.
    """
    origin = given.get(labels.ORIGIN)
    origin_path = selectors.key_path("labels", labels.ORIGIN)
    if origin is not None and origin not in (labels.ORIGIN_GLOBAL, labels.ORIGIN_ZONE):
        yield Violation(origin_path, f'unknown resource origin "{origin}"')
        return
    if is_global:
        if origin is not None and origin != labels.ORIGIN_GLOBAL:
            yield Violation(origin_path, "the origin label must be set to 'global'")
        return
    if is_federated and new_style and origin != labels.ORIGIN_ZONE:
        yield Violation(origin_path, "the origin label must be set to 'zone'")
    if origin == labels.ORIGIN_GLOBAL:
        return
    if labels.ZONE in given and given[labels.ZONE] != zone:
        yield Violation(selectors.key_path("labels", labels.ZONE), f"{labels.ZONE} label should have {zone} value")
    if mesh and labels.MESH in given and given[labels.MESH] != mesh:
        reason = f"{labels.MESH} label must not differ from mesh set on resource"
        yield Violation(selectors.key_path("labels", labels.MESH), reason)


def check_label_change(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Violation]:
    """Violations of an update that removes or changes a label that never changes."""
    for key in _IMMUTABLE:
        old = before.get(key)
        if old is None:
            continue
        path = selectors.key_path("labels", key)
        new = after.get(key)
        if new is None:
            yield Violation(path, f'is immutable, cannot be removed (was "{old}")')
        elif new != old:
            yield Violation(path, f'is immutable, cannot be changed from "{old}" to "{new}"')


def _qualified_name_errors(key: str) -> Iterator[str]:
    """Kubernetes' rules of a label key: an optional DNS prefix, a slash, a name of at most 63 characters."""
    prefix, slash, name = key.rpartition("/")
    if "/" in prefix:
        yield _QUALIFIED + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
        return
    if slash:
        if not prefix:
            yield "prefix part must be non-empty"
        elif len(prefix) > LONGEST_NAME:
            yield f"prefix part must be no more than {LONGEST_NAME} bytes"
        elif not NAME.fullmatch(prefix):
            yield "prefix part " + SUBDOMAIN_RULE
    if not name:
        yield "name part must be non-empty"
    elif len(name) > 63:
        yield "name part must be no more than 63 bytes"
    if not _LABEL_PART.fullmatch(name):
        yield "name part " + _QUALIFIED.removeprefix("a valid label key ")


def _label_value_errors(value: str) -> Iterator[str]:
    if len(value) > 63:
        yield "must be no more than 63 bytes"
    if value and not _LABEL_PART.fullmatch(value):
        yield (
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must "
            "start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used "
            "for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
        )


_QUALIFIED = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
"""Kubernetes' words for a text that is no DNS subdomain."""
