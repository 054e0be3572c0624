"""What a routing policy is to the engine: a policy that says where the requests or connections of an outbound go.

Routes are there before every other edit. The compiler asks a router which backends a conf names, finds their clusters
and gets the routes for them; of several routers the first one with a conf for the outbound decides. Source: Kuma's
documentation, "MeshHTTPRoute" and "MeshTCPRoute".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import kri, labels
from kuma.envoy import api, http
from kuma.plan import nodes
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules
from kuma.policy_engine.writing import backends
from kuma.resources import resource as res

Found = Sequence[nodes.ClusterFacts | None]
"""The clusters of mentioned backends, in their order; None where there is no such destination."""

Routes = tuple[nodes.RouteFacts, ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """A backend that a conf names. `origin` is the policy, in whose zone and namespace a name is looked for.

    `section` is the name or number of a port; `tags` are of those by `kuma.io/service`, without that.
    """

    kind: str
    name: str
    origin: kri.Kri
    namespace: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    section: str = ""

    @property
    def is_tagged(self) -> bool:
        """Whether it is a `kuma.io/service`: what a MeshService without port and labels meant before it was a resource."""
        return self.kind == "MeshServiceSubset" or (self.kind == "MeshService" and not (self.section or self.labels))


def mention(ref: backends.BackendRef, author: res.ResourceRef) -> Mention:
    """What a backendRef in a policy means."""
    section = ref.section_name or (str(ref.port) if ref.port else "")
    tags = tuple(sorted(pair for pair in (ref.tags or {}).items() if pair[0] != labels.SERVICE_TAG))
    pairs = tuple(sorted((ref.labels or {}).items()))
    return Mention(ref.kind, ref.name, kri.parse_kri(author.kri), ref.namespace, pairs, tags, section)


class Router(policy.Policy):
    """A policy whose confs are routes. It edits nothing afterwards."""

    def speaks_for(self, outbound: nodes.OutboundFacts) -> bool:
        """Whether its confs count for an outbound."""
        raise NotImplementedError

    def mentions(self, merged: rules.Merged[Any]) -> tuple[Mention, ...]:
        """Every backend that a conf names, in its order."""
        raise NotImplementedError

    def routes(self, merged: rules.Merged[Any], outbound: nodes.OutboundFacts, found: Found) -> Routes:
        """The routes of an outbound in the order of their trial; `found` are the clusters of `mentions`."""
        raise NotImplementedError


def split_of(ref: backends.BackendRef, cluster: nodes.ClusterFacts | None) -> nodes.Split | None:
    """The share of a backend; None where it is to get nothing, or where there is no such destination."""
    weight = 1 if ref.weight is None else ref.weight
    return nodes.Split(cluster, weight) if cluster is not None and weight else None


def default_routes(outbound: nodes.OutboundFacts) -> Routes:
    """The one route that an outbound has without any rule: everything to its destination."""
    splits = (nodes.Split(outbound.default),)
    if not outbound.destination.protocol.is_http:
        return (nodes.RouteFacts(splits),)
    message = api.Route(name=http.CATCH_ALL_ROUTE)
    message.match.prefix = "/"
    set_clusters(message.route, splits)
    return (nodes.RouteFacts(splits, matches=http.CATCH_ALL_ROUTE, message=message),)


def set_clusters(action: api.Message, splits: Sequence[nodes.Split]) -> None:
    """Sends requests to one cluster, or to several by weight. What is outside the mesh is called by its own host name.

    There is no timeout: timeouts have a policy of their own.
    """
    if len(splits) == 1:
        action.cluster = splits[0].cluster.name
    else:
        for split in splits:
            action.weighted_clusters.clusters.add(name=split.cluster.name).weight.value = split.weight
    action.timeout.CopyFrom(api.seconds(0))
    if any(split.cluster.is_external for split in splits):
        action.auto_host_rewrite.value = True
