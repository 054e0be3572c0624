"""What a user writes in a MeshRateLimit. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshratelimit import validate
from kuma.policy_engine.writing import headers as http_headers
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class Rate(kinds.Spec, frozen=True):
    """So many in so long a time."""

    num: Annotated[values.UInt32, values.Required] = 0
    interval: Annotated[values.GoDuration, values.Required] = values.GoDuration(0)


class OnRateLimit(kinds.Spec, frozen=True):
    """What a client hears when it is one too many; 429 where no status is given."""

    status: values.UInt32 | None = None
    headers: http_headers.HeaderChanges | None = None


class LocalHttp(kinds.Spec, frozen=True):
    """The limit of HTTP requests."""

    disabled: bool | None = None
    request_rate: Rate | None = None
    on_rate_limit: OnRateLimit | None = None


class LocalTcp(kinds.Spec, frozen=True):
    """The limit of connections."""

    disabled: bool | None = None
    connection_rate: Rate | None = None


class Local(kinds.Spec, frozen=True):
    """Limits that each proxy counts for itself."""

    http: Annotated[LocalHttp | None, values.spoken_by(*values.HTTP)] = None
    tcp: LocalTcp | None = None


class Conf(kinds.Spec, frozen=True):
    """Limits by where they are counted."""

    local: Local | None = None


class To(kinds.Spec, frozen=True):
    """All destinations of a gateway's route, and their limit."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class From(kinds.Spec, frozen=True):
    """Clients, and the limit of their traffic. Only all of them at once."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class Rule(kinds.Spec, frozen=True):
    """Connections that fit any of `matches` (all where there is none), and their limit."""

    matches: tuple[targetref.Match, ...] | None = None
    default: Conf = msgspec.field(default_factory=Conf)


class MeshRateLimit(kinds.Spec, frozen=True):
    """`rules` or `from` for sidecars, `to` for gateways, among the proxies that `target_ref` selects."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] | None = None
    to: tuple[To, ...] | None = None
    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")


KIND = kinds.Kind(
    name="MeshRateLimit",
    plural="meshratelimits",
    scope=kinds.Scope.MESH,
    spec=MeshRateLimit,
    short="mrl",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True, has_from=True, has_rules=True, from_as_rules=True),
    argument="meshratelimit",
    singular_display="Mesh Rate Limit",
    plural_display="Mesh Rate Limits",
)
