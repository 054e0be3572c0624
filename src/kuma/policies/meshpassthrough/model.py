"""What a user writes in a MeshPassthrough. Light: the command line imports it."""

import enum
from typing import Annotated

import msgspec

from kuma.policies.meshpassthrough import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class Mode(enum.StrEnum):
    """What may leave: everything, what `append_match` lists, nothing."""

    ALL = "All"
    MATCHED = "Matched"
    NONE = "None"


class MatchType(enum.StrEnum):
    """How a destination is named."""

    DOMAIN = "Domain"
    IP = "IP"
    CIDR = "CIDR"


class Match(kinds.Spec, frozen=True):
    """One destination. `port` None is every port; the protocol is tcp where it was not written."""

    type: Annotated[str, values.Required, values.one_of(*MatchType)] = ""
    value: Annotated[str, values.Required] = ""
    port: values.Int32 | None = None
    protocol: Annotated[str, values.one_of(*validate.PROTOCOLS), values.defaults_to(validate.TCP)] = ""


class Conf(kinds.Spec, frozen=True):
    """What may leave the proxy; matches of all policies of a proxy are gathered."""

    passthrough_mode: Annotated[str, values.one_of(*Mode)] | None = None
    append_match: tuple[Match, ...] | None = None


class MeshPassthrough(kinds.Spec, frozen=True):
    """What may leave the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    default: Conf = msgspec.field(default_factory=Conf)


KIND = kinds.Kind(
    name="MeshPassthrough",
    plural="meshpassthroughs",
    scope=kinds.Scope.MESH,
    spec=MeshPassthrough,
    short="mp",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=True),
    argument="meshpassthrough",
    singular_display="Mesh Passthrough",
    plural_display="Mesh Passthroughs",
)
