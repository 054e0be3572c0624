"""What a user writes in a MeshFaultInjection. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshfaultinjection import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, values

Percentage = Annotated[values.IntOrString, values.Required]
"""The share of requests that a fault hits, 0 to 100."""


class Abort(kinds.Spec, frozen=True):
    """Requests that are answered with `http_status` instead of being passed on."""

    http_status: Annotated[values.Int32, values.Required] = 0
    percentage: Percentage = msgspec.field(default_factory=int)


class Delay(kinds.Spec, frozen=True):
    """Requests that are held back for `value`."""

    value: Annotated[values.GoDuration, values.Required] = values.GoDuration(0)
    percentage: Percentage = msgspec.field(default_factory=int)


class ResponseBandwidth(kinds.Spec, frozen=True):
    """Responses that are sent at `limit`: a number and `kbps`, `Mbps` or `Gbps`."""

    limit: Annotated[str, values.Required] = ""
    percentage: Percentage = msgspec.field(default_factory=int)


class Http(kinds.Spec, frozen=True):
    """Faults that are thrown for independently of each other."""

    abort: Abort | None = None
    delay: Delay | None = None
    response_bandwidth: ResponseBandwidth | None = None


class Conf(kinds.Spec, frozen=True):
    """The faults of HTTP. None was not written; an empty list turns faults off."""

    http: Annotated[tuple[Http, ...] | None, values.spoken_by("http", "http2")] = None


class To(kinds.Spec, frozen=True):
    """Everything behind a gateway, and the faults of requests to it."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class From(kinds.Spec, frozen=True):
    """Clients by their tags, and the faults of their requests."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class Rule(kinds.Spec, frozen=True):
    """Connections that fit any of `matches` (all where there is none), and the faults of their requests."""

    matches: tuple[targetref.Match, ...] | None = None
    default: Annotated[Conf, values.Required] = msgspec.field(default_factory=Conf)


class MeshFaultInjection(kinds.Spec, frozen=True):
    """`rules` or `from` for sidecars, `to` for gateways, among the proxies that `target_ref` selects (absent: all)."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] | None = None
    to: tuple[To, ...] | None = None
    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")


KIND = kinds.Kind(
    name="MeshFaultInjection",
    plural="meshfaultinjections",
    scope=kinds.Scope.MESH,
    spec=MeshFaultInjection,
    short="mfi",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True, has_from=True, has_rules=True),
    argument="meshfaultinjection",
    singular_display="Mesh Fault Injection",
    plural_display="Mesh Fault Injections",
)
