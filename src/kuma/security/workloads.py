"""Which names a proxy may bear: the facts of its Dataplane that tokens are checked against and certificates are made of."""

from kuma.base import errors, labels
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes


def tags_of(spec: dataplanes.Dataplane) -> dict[str, set[str]]:
    """Every tag of a Dataplane's inbounds and gateway, with all its values."""
    found: dict[str, set[str]] = {}
    if spec.networking is None:
        return found
    groups = [inbound.tags for inbound in spec.networking.inbound]
    if spec.networking.gateway is not None:
        groups.append(spec.networking.gateway.tags)
    for group in groups:
        for tag, value in group.items():
            found.setdefault(tag, set()).add(value)
    return found


def identity_tags(dataplane: res.Resource[dataplanes.Dataplane]) -> dict[str, set[str]]:
    """The tags that a certificate names. Without a service tag, label `kuma.io/workload` stands for the service.

    Unavailable where there is neither: such a proxy has no name, and the name of its Dataplane must not become one,
    because whoever may register proxies could take any service's identity by it.
    """
    tags = tags_of(dataplane.spec)
    if not tags.get(labels.SERVICE_TAG):
        workload = dataplane.meta.labels.get(labels.WORKLOAD)
        if not workload:
            raise errors.Unavailable(
                f'Dataplane "{dataplane.meta.name}" of mesh "{dataplane.meta.mesh}" has neither the tag '
                f"{labels.SERVICE_TAG} nor the label {labels.WORKLOAD}, so it gets no certificate"
            )
        tags[labels.SERVICE_TAG] = {workload}
    return tags
