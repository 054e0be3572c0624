"""Which MeshIdentity gives a proxy its SPIFFE ID, and whom MeshTrusts make a mesh trust.

Of the identities that select a proxy the one with the most labels counts, then the one whose name comes first; one
that is not ready does not take a proxy from another. An identity without a provider, or one that waits until it is
trusted, gives no certificates yet and tells clients already which ID a service will have. Source: Kuma's
documentation, "MeshIdentity" and "MeshTrust".
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.base import gotemplate, labels
from kuma.base.kri import Kri
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import meshidentity, meshtrust
from kuma.resources.rules import meshidentity as rules

BUNDLED, SPIRE = "Bundled", "Spire"
READY, PARTIALLY_READY = "Ready", "PartiallyReady"

_WORKLOAD = re.compile(r"\{\{(?:(?!\}\}).)*(\.Workload\b|kuma\.io/workload)", re.DOTALL)
_TRUST_DOMAIN = "{{ .Mesh }}.{{ .Zone }}.mesh.local"
_PATHS = {
    "kubernetes": "/ns/{{ .Namespace }}/sa/{{ .ServiceAccount }}",
    "universal": "/workload/{{ .Workload }}",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """One MeshIdentity. `path` is a template, compiled. `is_ready`: it gives certificates; else it is only told of."""

    kri: Kri
    wanted: Mapping[str, str]
    trust_domain: str
    path: gotemplate.Template
    provider: str
    is_ready: bool
    resource: "res.Resource[meshidentity.MeshIdentity]" = field(compare=False)

    def selects(self, own: Mapping[str, str]) -> bool:
        """Whether a proxy with these labels is meant."""
        return all(own.get(key) == value for key, value in self.wanted.items())

    def spiffe_id(self, own: Mapping[str, str]) -> str | None:
        """The SPIFFE ID of a proxy with labels `own`; None where the template makes none of them.

        Every segment of its path says something (SPIFFE-ID, 2.2).
        """
        try:
            path = self._rendered(own)
        except gotemplate.TemplateError:
            return None
        if not path.startswith("/") or not all(path[1:].split("/")):
            return None
        return f"spiffe://{self.trust_domain}{path}"

    def obstacle(self, own: Mapping[str, str]) -> str:
        """Why `spiffe_id` makes none, for people."""
        try:
            path = self._rendered(own)
        except gotemplate.TemplateError as error:
            return str(error)
        lacking = "" if labels.WORKLOAD in own else f" (the proxy has no label {labels.WORKLOAD})"
        return f'its path would be "{path}"{lacking}'

    def _rendered(self, own: Mapping[str, str]) -> str:
        facts = {
            "TrustDomain": self.trust_domain,
            "Namespace": own.get(labels.NAMESPACE, ""),
            "ServiceAccount": own.get(labels.SERVICE_ACCOUNT, ""),
            "Workload": own.get(labels.WORKLOAD, ""),
        }
        return self.path.render(facts, {"label": _lookup(own)})


def identity_of(resource: res.Resource[meshidentity.MeshIdentity], zone: str, environment: str) -> Identity | None:
    """The identity that a MeshIdentity stands for in a zone; None where it gives none to any of its proxies (yet)."""
    state = _state(resource)
    return None if state is None else _read(resource, zone, environment, state == READY)


def expected_id(
    resources: "Iterable[res.Resource[meshidentity.MeshIdentity]]", own: Mapping[str, str], zone: str, environment: str
) -> str | None:
    """The SPIFFE ID that a proxy with labels `own` has, or else will have once its MeshIdentity is ready; None: neither."""
    made = (_read(each, zone, environment, _state(each) == READY) for each in resources)
    known = [each for each in made if each is not None]
    chosen = best(known, own) or best((replace(each, is_ready=True) for each in known), own)
    return chosen.spiffe_id(own) if chosen is not None else None


def _read(
    resource: res.Resource[meshidentity.MeshIdentity], zone: str, environment: str, is_ready: bool
) -> Identity | None:
    selector, kri = resource.spec.selector, resource.kri
    if selector is None or selector.dataplane is None or kri is None or not is_of(resource, zone):
        return None
    try:
        domain = trust_domain_of(resource, zone)
        path = gotemplate.parse(path_of(resource, environment), rules.FUNCTIONS)
    except gotemplate.TemplateError:
        return None
    provider = resource.spec.provider.type if resource.spec.provider is not None else ""
    wanted = selector.dataplane.match_labels or {}
    return Identity(kri, wanted, domain, path, provider, is_ready and provider in (BUNDLED, SPIRE), resource)


def is_of(resource: res.Resource[Any], zone: str) -> bool:
    """Whether a MeshIdentity is for the proxies of a zone: its own, or the global control plane's."""
    own = resource.meta.labels
    return own.get(labels.ORIGIN) == labels.ORIGIN_GLOBAL or own.get(labels.ZONE, zone) == zone


def trust_domain_of(resource: res.Resource[meshidentity.MeshIdentity], zone: str) -> str:
    """The trust domain of a MeshIdentity; TemplateError where its template does not work.

    `zone` is the control plane's own, for a MeshIdentity that names none; labels are those of the MeshIdentity.
    """
    given = resource.spec.spiffe_id
    template = gotemplate.parse((given.trust_domain if given else None) or _TRUST_DOMAIN, rules.FUNCTIONS)
    own = resource.meta.labels
    facts = {"Mesh": resource.meta.mesh, "Zone": own.get(labels.ZONE) or zone}
    return template.render(facts, {"label": _lookup(own)})


def path_of(resource: res.Resource[meshidentity.MeshIdentity], environment: str) -> str:
    """The template of the second half of SPIFFE IDs."""
    given = resource.spec.spiffe_id
    return (given.path if given else None) or _PATHS[environment]


def names_workloads(path: str) -> bool:
    """Whether the template of a path takes the label `kuma.io/workload` in, so that SPIFFE IDs need it."""
    return _WORKLOAD.search(path) is not None


def best(identities: Iterable[Identity], own: Mapping[str, str]) -> Identity | None:
    """The identity of a proxy with labels `own`; None where it has none."""
    fitting = [each for each in identities if each.is_ready and each.selects(own)]
    return min(fitting, key=lambda each: (-len(each.wanted), each.resource.meta.name), default=None)


def selecting(
    resources: "Iterable[res.Resource[meshidentity.MeshIdentity]]", own: Mapping[str, str]
) -> "res.Resource[meshidentity.MeshIdentity] | None":
    """As `best`, of all MeshIdentities, whether they are ready or not."""
    fitting = []
    for each in resources:
        selector = each.spec.selector.dataplane if each.spec.selector is not None else None
        if selector is not None and selector.matches(own):
            fitting.append((-len(selector.match_labels or {}), each.meta.name, each))
    return min(fitting, key=lambda found: found[:2])[2] if fitting else None


def all_of(identities: Iterable[Identity], own: Mapping[str, str]) -> frozenset[str]:
    """Every SPIFFE ID that a proxy has or is about to have."""
    known = tuple(identities)
    chosen = best(known, own)
    meant = [each for each in known if not each.is_ready and each.selects(own)]
    found = (each.spiffe_id(own) for each in (*((chosen,) if chosen is not None else ()), *meant))
    return frozenset(each for each in found if each is not None)


def _lookup(own: Mapping[str, str]) -> Callable[[str], str]:
    def label(key: str) -> str:
        if key not in own:
            raise ValueError(f"label {key} not found")
        return own[key]

    return label


def _state(resource: res.Resource[Any]) -> str | None:
    """What the condition `Ready` says: `Ready`, `PartiallyReady` or None."""
    found = resource.status.conditions if isinstance(resource.status, conditions.Status) else ()
    for each in found:
        if each.type == READY:
            if each.status == conditions.TRUE:
                return READY
            return PARTIALLY_READY if each.reason == PARTIALLY_READY else None
    return None


@dataclass(frozen=True, slots=True)
class Trusts:
    """Whom a mesh trusts: PEM texts by trust domain, sorted by it, and the KRIs of the MeshTrusts that say so."""

    domains: tuple[tuple[str, tuple[str, ...]], ...] = ()
    kris: tuple[str, ...] = ()

    def with_roots(self, domain: str, roots: str) -> "Trusts":
        """The same, and the roots of one more trust domain."""
        held = dict(self.domains)
        held[domain] = (*held.get(domain, ()), roots)
        return Trusts(tuple(sorted(held.items())), self.kris)


NO_TRUSTS = Trusts()


def trusts_of(resources: "Iterable[res.Resource[meshtrust.MeshTrust]]") -> Trusts:
    """What MeshTrusts say together."""
    domains: dict[str, tuple[str, ...]] = {}
    kris = []
    for each in resources:
        pems = (bundle.pem.value for bundle in each.spec.ca_bundles if bundle.pem is not None)
        domains[each.spec.trust_domain] = (*domains.get(each.spec.trust_domain, ()), *pems)
        kris.append(str(each.kri))
    return Trusts(tuple(sorted(domains.items())), tuple(sorted(kris)))
