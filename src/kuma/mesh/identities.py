"""The SPIFFE ID that MeshIdentities give a proxy.

Of the identities that select a proxy the one with the most labels counts, then the one whose name comes first.
Source: Kuma's documentation, "MeshIdentity".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kuma.base import gotemplate, labels
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import meshidentity
from kuma.resources.rules import meshidentity as rules

_TRUST_DOMAIN = "{{ .Mesh }}.{{ .Zone }}.mesh.local"
_PATHS = {
    "kubernetes": "/ns/{{ .Namespace }}/sa/{{ .ServiceAccount }}",
    "universal": "/workload/{{ .Workload }}",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """One MeshIdentity in force, its templates compiled."""

    name: str
    wanted: Mapping[str, str]
    trust_domain: gotemplate.Template
    path: gotemplate.Template
    zone: str


def identity_of(resource: res.Resource[meshidentity.MeshIdentity], zone: str, environment: str) -> Identity | None:
    """The identity that a MeshIdentity stands for; None while it is not ready, or where it selects nobody.

    `zone` is the control plane's own, for a MeshIdentity that names none.
    """
    selector = resource.spec.selector
    if selector is None or selector.dataplane is None or not _is_ready(resource):
        return None
    given = resource.spec.spiffe_id or meshidentity.SpiffeId()
    return Identity(
        resource.meta.name,
        selector.dataplane.match_labels or {},
        gotemplate.parse(given.trust_domain or _TRUST_DOMAIN, rules.FUNCTIONS),
        gotemplate.parse(given.path or _PATHS[environment], rules.FUNCTIONS),
        resource.meta.labels.get(labels.ZONE) or zone,
    )


def spiffe_id_of(identities: Iterable[Identity], mesh: str, own: Mapping[str, str]) -> str | None:
    """The SPIFFE ID of a proxy with labels `own`; None where no identity selects it or its templates do not work."""
    fitting = [each for each in identities if all(own.get(key) == value for key, value in each.wanted.items())]
    if not fitting:
        return None
    best = min(fitting, key=lambda each: (-len(each.wanted), each.name))

    def label(key: str) -> str:
        if key not in own:
            raise ValueError(f"label {key} not found")
        return own[key]

    functions = {"label": label}
    try:
        domain = best.trust_domain.render({"Mesh": mesh, "Zone": best.zone}, functions)
        facts = {
            "TrustDomain": domain,
            "Namespace": own.get(labels.NAMESPACE, ""),
            "ServiceAccount": own.get(labels.SERVICE_ACCOUNT, ""),
            "Workload": own.get(labels.WORKLOAD, ""),
        }
        return f"spiffe://{domain}{best.path.render(facts, functions)}"
    except gotemplate.TemplateError:
        return None


def _is_ready(resource: res.Resource[Any]) -> bool:
    found = resource.status.conditions if isinstance(resource.status, conditions.Status) else ()
    return any(each.type == "Ready" and each.status == conditions.TRUE for each in found)
