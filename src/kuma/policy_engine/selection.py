"""Which inbounds of a proxy a policy's top-level targetRef selects.

Source: Kuma's documentation, "Introduction to policies: targetRef"; shadow policies are left out here.
"""

from collections.abc import Mapping
from typing import Any

from kuma.base import labels
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from kuma.resources import targetref

SIDECAR = "Sidecar"


def selects(policy: res.Resource[Any], subject: proxy.ProxyFacts, inbound: nodes.InboundFacts) -> bool:
    """Whether `policy` is about this inbound."""
    if not is_in_force(policy, subject):
        return False
    target = policy.spec.target_ref
    kind = target.kind if target else "Mesh"
    if kind == "Mesh":
        return _has_proxy_type(target)
    if kind == "Dataplane":
        return selects_dataplane(policy.meta, target, subject.resource.meta) and _has_section(
            target.section_name, inbound
        )
    tags = dict(inbound.tags)
    if kind == "MeshSubset":
        return _has_proxy_type(target) and is_subset(target.tags or {}, tags)
    if kind == "MeshService":
        return bool(tags.get(labels.SERVICE_TAG) == target.name)
    if kind == "MeshServiceSubset":
        return is_subset({**(target.tags or {}), labels.SERVICE_TAG: target.name}, tags)
    return False


def is_in_force(policy: res.Resource[Any], subject: proxy.ProxyFacts) -> bool:
    """Shadow policies, those of other zones and those of other namespaces say nothing to this proxy."""
    if policy.meta.labels.get(labels.EFFECT) == "shadow":
        return False
    return is_in_reach(policy.meta, subject.resource.meta)


def is_in_reach(policy: res.Meta, dataplane: res.Meta) -> bool:
    """Whether zone and namespace of a policy let it speak to a Dataplane."""
    own, its = dataplane.labels, policy.labels
    role = its.get(labels.POLICY_ROLE, "system")
    zone = its.get(labels.ZONE)
    if role != "producer" and its.get(labels.ORIGIN) == labels.ORIGIN_ZONE and zone:
        is_of_zone = own.get(labels.ORIGIN) == labels.ORIGIN_ZONE
        if is_of_zone and own.get(labels.ZONE) != zone:
            return False
    if role in ("consumer", "workload-owner"):
        return own.get(labels.NAMESPACE) == its.get(labels.NAMESPACE)
    return True


def is_by_name(policy: res.Resource[Any]) -> bool:
    """Whether a policy picks single proxies by their names, so that equal labels do not mean equal matches."""
    target = policy.spec.target_ref
    return target is not None and target.kind == "Dataplane" and bool(target.name)


def selects_dataplane(policy: res.Meta, target: targetref.TargetRef, dataplane: res.Meta) -> bool:
    """Whether a targetRef of kind Dataplane is about this one; its section is not looked at."""
    if target.name:
        own, its = dataplane.labels, policy.labels
        namespace = target.namespace or its.get(labels.NAMESPACE, "")
        return (
            dataplane.display_name == target.name
            and own.get(labels.NAMESPACE, "") == namespace
            and own.get(labels.ZONE, "") == its.get(labels.ZONE, own.get(labels.ZONE, ""))
        )
    return is_subset(target.labels or {}, dataplane.labels)


def _has_section(section: str | None, inbound: nodes.InboundFacts) -> bool:
    return not section or section in (inbound.section, str(inbound.port))


def _has_proxy_type(target: Any) -> bool:
    wanted = target.proxy_types if target else None
    return not wanted or SIDECAR in [str(getattr(each, "value", each)) for each in wanted]


def is_subset(wanted: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Whether `tags` carry every wanted pair; the value `*` wants any value."""
    return all(key in tags and value in ("*", tags[key]) for key, value in wanted.items())
