"""The targetRef of the Mesh* policies, what it may say for each kind it can point at, and how an inbound is matched.

Source: Kuma's documentation, "Introduction to policies". Types stand here because every policy's model uses them.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import meta, selectors, values

KINDS = (
    "Mesh",
    "MeshSubset",
    "MeshGateway",
    "MeshService",
    "MeshExternalService",
    "MeshMultiZoneService",
    "MeshServiceSubset",
    "MeshHTTPRoute",
    "Dataplane",
)
"""What a targetRef can point at, in the order of the schema."""

SIDECAR, GATEWAY = "Sidecar", "Gateway"
_NAME = re.compile(r"[0-9a-z.\-_]*")
_BAD_NAME = "invalid characters: must consist of lower case alphanumeric characters, '-', '.' and '_'."
_LABELS_OR_NAME = "either labels or name and namespace must be specified"


class TargetRef(kinds.Spec, frozen=True):
    """What a policy, or one entry of it, is about. Maps and lists are None where they are not written."""

    kind: Annotated[str, values.Required, values.one_of(*KINDS)] = ""
    name: str = ""
    mesh: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    section_name: str = ""
    tags: dict[str, str] | None = None
    proxy_types: tuple[Annotated[str, values.one_of(SIDECAR, GATEWAY)], ...] | None = None

    @property
    def includes_gateways(self) -> bool:
        """Whether builtin gateways are among what a top-level targetRef selects."""
        if self.kind in ("MeshGateway", "MeshHTTPRoute"):
            return True
        return self.kind in ("Mesh", "MeshSubset") and (not self.proxy_types or GATEWAY in self.proxy_types)


MESH = TargetRef(kind="Mesh")
"""What a policy without a top-level targetRef is about."""


class SpiffeIdMatch(kinds.Spec, frozen=True):
    """A client by its SPIFFE ID."""

    type: Annotated[str, values.Required, values.one_of("Exact", "Prefix")] = ""
    value: Annotated[str, values.Required] = ""


class SniMatch(kinds.Spec, frozen=True):
    """A connection by the server name that the client asked for."""

    type: Annotated[str, values.Required, values.one_of("Exact")] = ""
    value: Annotated[str, values.Required] = ""


class Match(kinds.Spec, frozen=True):
    """Which connections an inbound rule is about; both members have to fit."""

    spiffe_id: SpiffeIdMatch | None = msgspec.field(default=None, name="spiffeID")
    sni: SniMatch | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a place of a policy accepts. `unsupported` replaces the message about a kind that is not listed."""

    kinds: Collection[str]
    unsupported: str = ""
    gateway_tags: bool = False
    invalid_names: Collection[str] = ()
    inbound_policy: bool = False


def check(path: str, ref: TargetRef, allowed: Allowed) -> Iterator[Violation]:
    """Violations of one targetRef at `path`."""
    if not ref.kind:
        yield Violation(f"{path}.kind", "must be defined")
        return
    if ref.kind not in allowed.kinds:
        yield Violation(f"{path}.kind", allowed.unsupported or f"value '{ref.kind}' is not supported")
        return
    if ref.kind == "Mesh":
        yield from _check_mesh(path, ref)
    elif ref.kind == "MeshSubset":
        yield from _check_subset(path, ref)
    elif ref.kind == "Dataplane":
        yield from _check_dataplane(path, ref, allowed)
    elif ref.kind in ("MeshService", "MeshHTTPRoute", "MeshExternalService"):
        yield from _check_destination(path, ref, allowed)
    elif ref.kind in ("MeshServiceSubset", "MeshGateway"):
        yield from _check_named(path, ref, allowed)


def _forbid(path: str, ref: TargetRef, *names: str) -> Iterator[Violation]:
    """Violations of fields, by their wire names, that do not go with the kind."""
    found: Mapping[str, Any] = {
        "name": ref.name,
        "mesh": ref.mesh,
        "tags": ref.tags,
        "labels": ref.labels,
        "namespace": ref.namespace,
        "sectionName": ref.section_name,
        "proxyTypes": ref.proxy_types,
    }
    for name in names:
        if found[name]:
            yield Violation(f"{path}.{name}", f"must not be set with kind {ref.kind}")


def _check_proxy_types(path: str, ref: TargetRef) -> Iterator[Violation]:
    if ref.proxy_types is not None and not ref.proxy_types:
        yield Violation(f"{path}.proxyTypes", "must be undefined or have at least one element")


def _check_name(path: str, ref: TargetRef, allowed: Allowed) -> Iterator[Violation]:
    if ref.name not in allowed.invalid_names and not _NAME.fullmatch(ref.name):
        yield Violation(f"{path}.name", _BAD_NAME)


def _check_mesh(path: str, ref: TargetRef) -> Iterator[Violation]:
    if ref.name:
        yield Violation(f"{path}.name", "using name with kind Mesh is not yet supported")
    yield from _forbid(path, ref, "mesh", "tags", "labels", "namespace", "sectionName")
    yield from _check_proxy_types(path, ref)


def _check_subset(path: str, ref: TargetRef) -> Iterator[Violation]:
    yield from _forbid(path, ref, "name", "mesh")
    yield from selectors.check_selector(f"{path}.tags", ref.tags or {})
    yield from _forbid(path, ref, "labels", "namespace", "sectionName")
    yield from _check_proxy_types(path, ref)


def _check_dataplane(path: str, ref: TargetRef, allowed: Allowed) -> Iterator[Violation]:
    yield from _check_name(path, ref, allowed)
    yield from _forbid(path, ref, "tags", "mesh", "proxyTypes")
    if ref.labels and (ref.name or ref.namespace):
        yield Violation(f"{path}.labels", _LABELS_OR_NAME)
    if ref.section_name and not allowed.inbound_policy:
        yield Violation(f"{path}.sectionName", "can only be used with inbound policies")


def _check_destination(path: str, ref: TargetRef, allowed: Allowed) -> Iterator[Violation]:
    yield from _check_name(path, ref, allowed)
    yield from _forbid(path, ref, "mesh", "tags", "proxyTypes")
    if not ref.name and not ref.labels:
        yield Violation(path, f"name or labels must be set when kind is {ref.kind}")
    if ref.labels and (ref.name or ref.namespace):
        is_external = ref.kind == "MeshExternalService"
        reason = "either labels or name must be specified" if is_external else _LABELS_OR_NAME
        yield Violation(f"{path}.labels", reason)
    if ref.kind != "MeshService":
        yield from _forbid(path, ref, "sectionName")


def _check_named(path: str, ref: TargetRef, allowed: Allowed) -> Iterator[Violation]:
    if not ref.name:
        yield Violation(f"{path}.name", f"must be set when kind is {ref.kind}")
    yield from _check_name(path, ref, allowed)
    yield from _forbid(path, ref, "mesh", "proxyTypes")
    if ref.kind == "MeshGateway" and not allowed.gateway_tags:
        yield from _forbid(path, ref, "tags")
    else:
        yield from selectors.check_selector(f"{path}.tags", ref.tags or {})
    yield from _forbid(path, ref, "labels", "namespace", "sectionName")


def check_match(path: str, match: Match) -> Iterator[Violation]:
    """Violations of the members of a match; an empty one is for the policy to judge."""
    if match.spiffe_id is not None:
        reason = spiffe_id_problem(match.spiffe_id.value)
        if reason:
            yield Violation(f"{path}.spiffeID", f"must be a valid Spiffe ID: {reason}")
    if match.sni is None:
        return
    if not match.sni.type:
        yield Violation(f"{path}.sni.type", "must be set")
    elif match.sni.type != "Exact":
        reason = f"unrecognized type {gotext.quote(match.sni.type)}, supported values are: Exact"
        yield Violation(f"{path}.sni.type", reason)
    if not match.sni.value:
        yield Violation(f"{path}.sni.value", "must be set")
        return
    for reason in meta.subdomain_problems(match.sni.value):
        yield Violation(f"{path}.sni.value", reason)


_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]*")
_SEGMENT = re.compile(r"[a-zA-Z0-9._-]*")


def spiffe_id_problem(text: str) -> str:
    """Why a text is no SPIFFE ID, empty where it is one (SPIFFE-ID specification, sections 2.1 to 2.3)."""
    if not text:
        return "cannot be empty"
    if not text.startswith("spiffe://"):
        return "scheme is missing or invalid"
    domain, slash, path = text.removeprefix("spiffe://").partition("/")
    if not domain:
        return "trust domain is missing"
    if not _TRUST_DOMAIN.fullmatch(domain):
        return "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores"
    return _path_problem(path) if slash else ""


def _path_problem(path: str) -> str:
    for index, segment in enumerate(segments := path.split("/")):
        if not segment:
            return "path cannot have a trailing slash" if index == len(segments) - 1 else _EMPTY_SEGMENT
        if segment in (".", ".."):
            return "path cannot contain dot segments"
        if not _SEGMENT.fullmatch(segment):
            return "path segment characters are limited to letters, numbers, dots, dashes, and underscores"
    return ""


_EMPTY_SEGMENT = "path cannot contain empty segments"


def deprecations(ref: TargetRef | None) -> Iterator[str]:
    """Warnings about a top-level targetRef that is accepted and due to go."""
    if ref is None:
        return
    if ref.kind in ("MeshService", "MeshServiceSubset", "MeshSubset"):
        yield f"{ref.kind} value for 'targetRef.kind' is deprecated, use Dataplane with labels instead"
    elif ref.kind == "MeshHTTPRoute":
        yield ("MeshHTTPRoute value for 'targetRef.kind' is deprecated, use MeshHTTPRoute in spec.to[].targetRef")
