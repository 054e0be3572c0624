"""Which places of a proxy a policy is about: by its top-level targetRef, its zone and its namespace.

Source: Kuma's documentation, "Introduction to policies: targetRef". Whether a policy is in force or a shadow is the
caller's question.
"""

from collections.abc import Mapping
from typing import Any

from kuma.base import labels
from kuma.policy_engine.matching import places, surroundings
from kuma.policy_engine.merging import subset_rules
from kuma.resources import resource as res
from kuma.resources import targetref

AnyResource = res.Resource[Any]
Selected = tuple[int, ...]
"""Indexes into `Places.all`; empty where a policy says nothing to the proxy."""


def selected(policy: AnyResource, subject: places.Places, around: surroundings.Surroundings) -> Selected:
    """The places of a proxy that a targetRef policy is about."""
    if not is_in_reach(policy.meta, subject):
        return ()
    target = policy.spec.target_ref or targetref.MESH
    if target.kind == "MeshHTTPRoute":
        route = around.route_named(target.name)
        if route is None or not is_in_reach(route.meta, subject):
            return ()
        return _targeted(route.meta, route.spec.target_ref or targetref.MESH, subject)
    return _targeted(policy.meta, target, subject)


def unresolved(policy: AnyResource, around: surroundings.Surroundings) -> str:
    """The warning about a policy on a MeshHTTPRoute that does not exist; empty for all others."""
    target = policy.spec.target_ref
    if target is None or target.kind != "MeshHTTPRoute" or around.route_named(target.name) is not None:
        return ""
    reason = f"couldn't resolve MeshHTTPRoute targetRef with name '{target.name}'"
    own = policy.meta
    return f'unable to resolve TargetRef on policy: mesh:{own.mesh} name:{own.name} error:"{reason}"'


def _targeted(author: res.Meta, target: targetref.TargetRef, subject: places.Places) -> Selected:
    kind = target.kind
    if kind == "Dataplane":
        if subject.is_builtin or not selects_dataplane(author, target, subject.proxy):
            return ()
        return tuple(index for index, each in enumerate(subject.all) if _is_section(target.section_name, each))
    if kind == "MeshGateway":
        if subject.gateway is None or subject.gateway.meta.display_name != target.name:
            return ()
        return _tagged(target.tags or {}, subject)
    if (
        target.proxy_types
        and (targetref.GATEWAY if subject.is_gateway else targetref.SIDECAR) not in target.proxy_types
    ):
        return ()
    if kind == "Mesh":
        return tuple(range(len(subject.all)))
    if kind not in subset_rules.TAGGED:
        return ()
    return _tagged({tag.key: tag.value for tag in subset_rules.subset_of(target)}, subject)


def _tagged(wanted: Mapping[str, str], subject: places.Places) -> Selected:
    """Places with tags; listeners of zone proxies have none and are never meant."""
    return tuple(
        index
        for index, each in enumerate(subject.all)
        if each.sort is not places.Sort.ZONE_PROXY and is_subset(wanted, each.tags)
    )


def _is_section(section: str, place: places.Place) -> bool:
    """Whether a section of a Dataplane is a place; a delegated gateway has no sections and is always meant."""
    return not section or place.sort is places.Sort.DELEGATED or section in (place.section, str(place.port))


def is_in_reach(policy: res.Meta, subject: places.Places) -> bool:
    """Whether zone and namespace of a policy let it speak to a proxy; what is of a zone without a name is of any."""
    zoned, its = subject.zoned.labels, policy.labels
    role = its.get(labels.POLICY_ROLE, "system")
    zone = its.get(labels.ZONE)
    if role != "producer" and its.get(labels.ORIGIN) == labels.ORIGIN_ZONE and zone:
        is_of_zone = zoned.get(labels.ORIGIN) == labels.ORIGIN_ZONE
        if is_of_zone and zoned.get(labels.ZONE, zone) != zone:
            return False
    if role in ("consumer", "workload-owner"):
        namespace = its.get(labels.NAMESPACE)
        return namespace is not None and subject.proxy.labels.get(labels.NAMESPACE) == namespace
    return True


def is_in_every_reach(policy: res.Meta) -> bool:
    """Whether a policy speaks to Dataplanes of all zones and namespaces."""
    its = policy.labels
    role = its.get(labels.POLICY_ROLE, "system")
    if role in ("consumer", "workload-owner"):
        return False
    return role == "producer" or its.get(labels.ORIGIN) != labels.ORIGIN_ZONE or not its.get(labels.ZONE)


def selects_dataplane(policy: res.Meta, target: targetref.TargetRef, dataplane: res.Meta) -> bool:
    """Whether a targetRef of kind Dataplane is about this one; its section is not looked at.

    A name means the Dataplane of that name in the policy's own zone, and in its namespace unless it says another one.
    """
    if target.name:
        own, its = dataplane.labels, policy.labels
        return (
            dataplane.display_name == target.name
            and own.get(labels.NAMESPACE, "") == (target.namespace or its.get(labels.NAMESPACE, ""))
            and own.get(labels.ZONE, "") == its.get(labels.ZONE, "")
        )
    if target.namespace and not target.labels:
        return False
    return (target.labels or {}).items() <= dataplane.labels.items()


def is_subset(wanted: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Whether `tags` carry every wanted pair; the value `*` wants any value."""
    return all(key in tags and value in ("*", tags[key]) for key, value in wanted.items())
