"""MeshTrust: the authorities that are trusted for a trust domain."""

from typing import Annotated

from kuma.resources import kind as kinds
from kuma.resources import values
from kuma.resources.rules import meshtrust as rules


class Pem(kinds.Spec, frozen=True):
    """Certificates in PEM."""

    value: Annotated[str, values.Required] = ""


class CaBundle(kinds.Spec, frozen=True):
    """One bundle; `type` says how it is written."""

    type: Annotated[str, values.Required, values.one_of(*rules.BUNDLE_TYPES)] = ""
    pem: Pem | None = None


class Origin(kinds.Spec, frozen=True):
    """The resource that this trust was made for."""

    kri: str | None = None


class MeshTrust(kinds.Spec, frozen=True):
    """A trust domain with its authorities. `origin` is deprecated: it is part of the status now."""

    origin: Origin | None = None
    trust_domain: Annotated[str, values.Required, values.sized(None, rules.LONGEST_DOMAIN)] = ""
    ca_bundles: Annotated[tuple[CaBundle, ...], values.Required, values.sized(1)] = ()


class MeshTrustStatus(kinds.Spec, frozen=True):
    """Where the trust comes from."""

    origin: Origin | None = None


KIND = kinds.Kind(
    name="MeshTrust",
    plural="meshtrusts",
    scope=kinds.Scope.MESH,
    spec=MeshTrust,
    status=MeshTrustStatus,
    short="mtrust",
    envelope=kinds.Envelope.SPEC,
    sync=(
        kinds.Sync.GLOBAL_TO_ZONE
        | kinds.Sync.ZONE_TO_GLOBAL
        | kinds.Sync.PROVIDED_BY_GLOBAL
        | kinds.Sync.PROVIDED_BY_ZONE
    ),
    validate=rules.validate,
    deprecations=rules.deprecations,
    argument="meshtrust",
    singular_display="Mesh Trust",
    plural_display="Mesh Trusts",
)
