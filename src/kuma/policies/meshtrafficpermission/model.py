"""What a user writes in a MeshTrafficPermission. Light: the command line imports it."""

import enum
from typing import Annotated

import msgspec

from kuma.policies.meshtrafficpermission import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class Action(enum.StrEnum):
    """What happens to traffic of a `from` entry."""

    ALLOW = "Allow"
    DENY = "Deny"
    ALLOW_WITH_SHADOW_DENY = "AllowWithShadowDeny"


class FromConf(kinds.Spec, frozen=True):
    """The conf of a `from` entry; `action` is empty where it was not written, which is a violation."""

    action: Annotated[str, values.one_of(*Action)] = ""


class From(kinds.Spec, frozen=True):
    """Clients by their tags, and what happens to their traffic."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: FromConf = FromConf()


class RuleConf(kinds.Spec, frozen=True):
    """Clients by SPIFFE ID: `deny` wins over all; `allow_with_shadow_deny` also counts what a denial would refuse."""

    allow: tuple[targetref.Match, ...] = ()
    allow_with_shadow_deny: tuple[targetref.Match, ...] = ()
    deny: tuple[targetref.Match, ...] = ()


class Rule(kinds.Spec, frozen=True):
    """One inbound rule."""

    default: Annotated[RuleConf, values.Required] = RuleConf()


class MeshTrafficPermission(kinds.Spec, frozen=True):
    """Either `from` or `rules`, for the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] = ()
    from_: tuple[From, ...] = msgspec.field(default=(), name="from")


KIND = kinds.Kind(
    name="MeshTrafficPermission",
    plural="meshtrafficpermissions",
    scope=kinds.Scope.MESH,
    spec=MeshTrafficPermission,
    short="mtp",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_from=True, has_rules=True),
    argument="meshtrafficpermission",
    singular_display="Mesh Traffic Permission",
    plural_display="Mesh Traffic Permissions",
)
