"""Labels and tags of proxies that a generated MeshService takes over as labels, where the settings say so. Pure.

A proxy speaks by its labels, and by those tags on which its inbounds of the service agree. What most proxies say holds; among equals the newest proxy decides, then the first value. Labels that somebody gave the
MeshService stay as they are: those that were taken over are marked by a label of their own, so that they go with their
proxies. Marks are Kuma's, `kuma.io/pkey-` and a hash of the key. Source: Kuma's configuration reference,
`meshService.labelPropagation`.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kuma.base import labels
from kuma.resources import meta as metas
from kuma.resources.kinds import dataplane
from kuma.services.destinations import members

Serving = Iterable[tuple[members.Member, Iterable[dataplane.Inbound]]]
"""Proxies, each with its inbounds of the service."""

_MARK = "kuma.io/pkey-"


@dataclass(frozen=True, slots=True)
class Settings:
    """`allowed`: the only keys that are taken over; empty: all but Kuma's own."""

    enabled: bool = False
    allowed: frozenset[str] = frozenset()


def with_labels(own: Mapping[str, str], serving: Serving, settings: Settings) -> dict[str, str]:
    """The labels of a MeshService with labels `own` and these proxies."""
    if not settings.enabled:
        return dict(own)
    kept = {key: value for key, value in own.items() if not key.startswith(_MARK) and _mark(key) not in own}
    taken = {key: value for key, value in _agreed(serving, settings).items() if key not in kept}
    return {**kept, **taken, **{_mark(key): "" for key in taken}}


def _mark(key: str) -> str:
    return _MARK + hashlib.sha256(key.encode()).hexdigest()[:16]


def _agreed(serving: Serving, settings: Settings) -> dict[str, str]:
    votes: dict[str, dict[str, list[members.Member]]] = {}
    for each, inbounds in serving:
        for key, value in _spoken(each, inbounds).items():
            is_meant = not labels.is_reserved(key) and (not settings.allowed or key in settings.allowed)
            if is_meant and not any(metas.check_labels({key: value})):
                votes.setdefault(key, {}).setdefault(value, []).append(each)
    agreed = {}
    for key, by_value in votes.items():
        most = max((len(voters), max(each.created for each in voters)) for voters in by_value.values())
        agreed[key] = min(
            value for value, voters in by_value.items() if (len(voters), max(each.created for each in voters)) == most
        )
    return agreed


def _spoken(member: members.Member, inbounds: Iterable[dataplane.Inbound]) -> Mapping[str, str]:
    """What one proxy says: its labels go before tags, and a tag with several values says nothing."""
    values: dict[str, set[str]] = {}
    for inbound in inbounds:
        for key, value in inbound.tags.items():
            values.setdefault(key, set()).add(value)
    return {**{key: value for key, (value, *more) in values.items() if not more}, **member.labels}
