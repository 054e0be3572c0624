"""The frame of a targetRef policy: its top-level targetRef, and which of `to`, `from` and `rules` go together.

Source: Kuma's documentation, "Introduction to policies".
"""

from collections.abc import Iterator, Sequence
from typing import Any

from kuma.base import gotext, labels
from kuma.base.errors import Violation
from kuma.resources import resource as res
from kuma.resources import targetref

_PROXIES = ("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset", "Dataplane")
_SPIFFE_TYPES = ("Exact", "Prefix")


def check_top(
    resource: res.Resource[Any],
    ref: targetref.TargetRef | None,
    *,
    inbound: bool = False,
    routes: bool = False,
    gateway_tags: bool = True,
) -> Iterator[Violation]:
    """Violations of the top-level targetRef of a policy that is about proxies; None is all of the mesh.

    `inbound`: it has entries about inbounds, so a Dataplane's sectionName means something. `routes`: the policy may
    be attached to a MeshHTTPRoute. Gateways and routes are open to policies of the whole system alone, not to those
    that a namespace's owner wrote.
    """
    if ref is None:
        return
    allowed: tuple[str, ...] = _PROXIES
    if resource.meta.labels.get(labels.POLICY_ROLE, "system") == "system":
        allowed += ("MeshGateway", "MeshHTTPRoute") if routes else ("MeshGateway",)
    kinds = targetref.Allowed(allowed, gateway_tags=gateway_tags, inbound_policy=inbound)
    yield from targetref.check("spec.targetRef", ref, kinds)


def check_rules_alone(
    to: Sequence[Any] | None, from_: Sequence[Any] | None, rules: Sequence[Any] | None
) -> Iterator[Violation]:
    """`rules` is the successor of `from`: a policy that has them has neither `to` nor `from`."""
    if rules and (to or from_):
        yield Violation("spec", "fields 'to' and 'from' must be empty when 'rules' is defined")


def check_some(
    to: Sequence[Any] | None, from_: Sequence[Any] | None, rules: Sequence[Any] | None
) -> Iterator[Violation]:
    """A policy that is about inbounds and outbounds has to say something of either."""
    if not to and not from_ and not rules:
        yield Violation("spec", "at least one of 'from', 'to' or 'rules' has to be defined")


def check_matches(path: str, matches: Sequence[targetref.Match] | None) -> Iterator[Violation]:
    """Violations of the matches of an inbound rule."""
    for index, match in enumerate(matches or ()):
        place = f"{path}.matches[{index}]"
        if match.spiffe_id is None and match.sni is None:
            yield Violation(place, "must specify at least one of 'spiffeID' or 'sni'")
        yield from targetref.check_match(place, match)
        if match.spiffe_id is not None:
            yield from _check_spiffe_type(f"{place}.spiffeID.type", match.spiffe_id.type)


def _check_spiffe_type(path: str, found: str) -> Iterator[Violation]:
    if not found:
        yield Violation(path, "must be set")
    elif found not in _SPIFFE_TYPES:
        supported = ", ".join(_SPIFFE_TYPES)
        yield Violation(path, f"unrecognized type {gotext.quote(found)}, supported values are: {supported}")


NOT_BY_CLIENT = (
    "can't be specified when matches contain spiffeID because this field cannot be conditioned on source identity"
)
"""Said of a field that takes effect before Envoy knows the client."""


BESIDE_GATEWAYS = (
    "must not be defined when the scope includes a Gateway, select only proxyType Sidecar or select only gateways "
    "and use spec.to"
)
"""Said of `from` in policies that gateways know another way."""


def names_clients(matches: Sequence[targetref.Match] | None) -> bool:
    """Whether some match is about who the client is, which Envoy knows only once a connection stands."""
    return any(match.spiffe_id is not None for match in matches or ())


def deprecations(ref: targetref.TargetRef | None, from_: Sequence[Any] | None = None) -> Iterator[str]:
    """Warnings about the frame of a policy whose `from` gave way to `rules`."""
    if from_:
        yield "'from' field is deprecated, use 'rules' instead"
    yield from targetref.deprecations(ref)
