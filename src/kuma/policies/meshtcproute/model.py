"""What a user writes in a MeshTCPRoute. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshtcproute import validate
from kuma.policy_engine.writing import backends
from kuma.resources import kind as kinds
from kuma.resources import targetref, values


class RuleConf(kinds.Spec, frozen=True):
    """Where connections go, by weight."""

    backend_refs: tuple[backends.BackendRef, ...] | None = None


class Rule(kinds.Spec, frozen=True):
    """What becomes of all connections to the destination."""

    default: Annotated[RuleConf, values.Required] = msgspec.field(default_factory=RuleConf)


class To(kinds.Spec, frozen=True):
    """A destination as clients address it, and its rule: one at most."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    rules: Annotated[tuple[Rule, ...] | None, values.Required, values.sized(most=1)] = None

    @property
    def default(self) -> Rule:
        """The conf that is merged with those of other policies: the rule."""
        return self.rules[0] if self.rules else Rule()


class MeshTCPRoute(kinds.Spec, frozen=True):
    """Routes of the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    to: Annotated[tuple[To, ...], values.sized(least=1)] | None = None


KIND = kinds.Kind(
    name="MeshTCPRoute",
    plural="meshtcproutes",
    scope=kinds.Scope.MESH,
    spec=MeshTCPRoute,
    short="mtcpr",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True),
    argument="meshtcproute",
    singular_display="Mesh TCP Route",
    plural_display="Mesh TCP Routes",
)
