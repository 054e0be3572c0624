"""What a user writes in a MeshTLS. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshtls import validate
from kuma.resources import kind as kinds
from kuma.resources import targetref, tls_versions, values


class Conf(kinds.Spec, frozen=True):
    """How TLS is spoken; None leaves it to less specific policies, and at last to the mesh and to Envoy."""

    tls_version: tls_versions.TlsVersion | None = None
    tls_ciphers: tuple[Annotated[str, values.one_of(*validate.CIPHERS)], ...] | None = None
    mode: Annotated[str, values.one_of(*validate.MODES)] | None = None


class From(kinds.Spec, frozen=True):
    """Clients, and how they are spoken to. Only all of them at once."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    default: Conf = msgspec.field(default_factory=Conf)


class Rule(kinds.Spec, frozen=True):
    """How clients are spoken to."""

    default: Conf = msgspec.field(default_factory=Conf)


class MeshTLS(kinds.Spec, frozen=True):
    """Either `from` or `rules`, for the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    rules: tuple[Rule, ...] | None = None
    from_: tuple[From, ...] | None = msgspec.field(default=None, name="from")


KIND = kinds.Kind(
    name="MeshTLS",
    plural="meshtlses",
    scope=kinds.Scope.MESH,
    spec=MeshTLS,
    short="mtls",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_from=True, has_rules=True, from_as_rules=True),
    argument="meshtls",
    singular_display="Mesh TLS",
    plural_display="Mesh TLSes",
)
