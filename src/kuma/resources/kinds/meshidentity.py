"""MeshIdentity: which SPIFFE ID proxies get, and who signs their certificates."""

from typing import Annotated, Any

import msgspec

from kuma.resources import conditions, values
from kuma.resources import kind as kinds
from kuma.resources.kinds import labelselector, securedatasource
from kuma.resources.rules import meshidentity as rules


class Selector(kinds.Spec, frozen=True):
    """Which proxies; without `dataplane` none, with empty labels all."""

    dataplane: labelselector.LabelSelector | None = None


class SpiffeId(kinds.Spec, frozen=True):
    """Templates of the two halves of a SPIFFE ID; absent halves have a default."""

    trust_domain: str | None = None
    path: str | None = None


class Autogenerate(kinds.Spec, frozen=True):
    """Whether the control plane makes the authority itself."""

    enabled: bool | None = None


class CertificateAuthority(kinds.Spec, frozen=True):
    """An authority that exists already."""

    certificate: securedatasource.SecureDataSource | None = None
    private_key: securedatasource.SecureDataSource | None = None


class CertificateParameters(kinds.Spec, frozen=True):
    """What workloads' certificates are like."""

    expiry: values.GoDuration | None = None


class Bundled(kinds.Spec, frozen=True):
    """The control plane signs."""

    mesh_trust_creation: Annotated[str, values.one_of(*rules.TRUST_CREATION)] | None = None
    insecure_allow_self_signed: bool | None = None
    certificate_parameters: CertificateParameters | None = None
    autogenerate: Autogenerate | None = None
    ca: CertificateAuthority | None = None


class SpireAgent(kinds.Spec, frozen=True):
    """The SPIRE agent beside the proxy."""

    timeout: values.GoDuration | None = None


class Spire(kinds.Spec, frozen=True):
    """SPIRE signs."""

    agent: SpireAgent | None = None


class Extension(kinds.Spec, frozen=True):
    """An extension of the control plane signs."""

    name: Annotated[str, values.Required] = ""
    config: Any = None


class Provider(kinds.Spec, frozen=True):
    """Who signs; `type` says which block is used."""

    type: Annotated[str, values.Required, values.one_of(*rules.PROVIDERS)] = ""
    bundled: Bundled | None = None
    spire: Spire | None = None
    extension: Extension | None = None


class MeshIdentity(kinds.Spec, frozen=True):
    """Identities of the proxies that the selector chooses; without a provider their IDs are told of, and no more."""

    selector: Selector | None = None
    spiffe_id: SpiffeId | None = msgspec.field(default=None, name="spiffeID")
    provider: Provider | None = None


KIND = kinds.Kind(
    name="MeshIdentity",
    plural="meshidentities",
    scope=kinds.Scope.MESH,
    spec=MeshIdentity,
    status=conditions.Status,
    short="mid",
    envelope=kinds.Envelope.SPEC,
    sync=(
        kinds.Sync.GLOBAL_TO_ZONE
        | kinds.Sync.ZONE_TO_GLOBAL
        | kinds.Sync.PROVIDED_BY_GLOBAL
        | kinds.Sync.PROVIDED_BY_ZONE
    ),
    validate=rules.validate,
    argument="meshidentity",
    singular_display="Mesh Identity",
    plural_display="Mesh Identities",
)
