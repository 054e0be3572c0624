"""What a user writes in a MeshTimeout. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshtimeout import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class Http(kinds.Spec, frozen=True):
    """Timeouts of HTTP; None leaves them to less specific policies, 0 turns them off."""

    request_timeout: values.GoDuration | None = None
    stream_idle_timeout: values.GoDuration | None = None
    max_stream_duration: values.GoDuration | None = None
    max_connection_duration: values.GoDuration | None = None
    request_headers_timeout: values.GoDuration | None = None


class Conf(kinds.Spec, frozen=True):
    """Timeouts of connections, and of HTTP over them."""

    connection_timeout: values.GoDuration | None = None
    idle_timeout: values.GoDuration | None = None
    http: Annotated[Http | None, values.spoken_by(*values.HTTP)] = None


class To(kinds.Spec, frozen=True):
    """A destination, and the timeouts of traffic to it."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class From(kinds.Spec, frozen=True):
    """Clients, and the timeouts of their traffic. Only all of them at once."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class Rule(kinds.Spec, frozen=True):
    """Connections that fit any of `matches` (all where there is none), and their timeouts."""

    matches: tuple[targetref.Match, ...] | None = None
    default: Conf = msgspec.field(default_factory=Conf)


class MeshTimeout(kinds.Spec, frozen=True):
    """Either `rules`, or `to` and `from`, for the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] | None = None
    to: tuple[To, ...] | None = None
    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")


KIND = kinds.Kind(
    name="MeshTimeout",
    plural="meshtimeouts",
    scope=kinds.Scope.MESH,
    spec=MeshTimeout,
    short="mt",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True, has_from=True, has_rules=True, from_as_rules=True),
    argument="meshtimeout",
    singular_display="Mesh Timeout",
    plural_display="Mesh Timeouts",
)
