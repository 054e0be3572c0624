"""Destinations beyond the mesh: what makes their clusters different.

Mostly an egress leads there. ExternalServices without one are dialled by the proxies themselves: their addresses may be
host names, so they stand in the cluster, and each may have TLS of its own. Source: Kuma's documentation, "External
Service" and "MeshExternalService".
"""

from dataclasses import dataclass

from kuma.compiler import origination
from kuma.envoy import api, clusters, http, tls
from kuma.mesh import endpoints, view, zones
from kuma.plan import nodes

Dialled = tuple[tuple[endpoints.Endpoint, origination.Origination | None], ...]
"""Endpoints with their TLS; None: they are dialled in plain text."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What decides about the cluster of such a destination, beside its facts.

    `protocol` is what is spoken to it: unknown where nothing leads there. `dialled` is for those without an egress.
    """

    protocol: nodes.Protocol
    dialled: Dialled = ()


def outside(picture: view.MeshView, facts: nodes.ClusterFacts, service: endpoints.Service) -> Outside | None:
    """What is special about a destination with these endpoints; None where it is of the mesh."""
    if not facts.is_external:
        return None
    protocol = facts.protocol if service.endpoints else nodes.Protocol.UNKNOWN
    return Outside(protocol, dialled(picture, service) if facts.is_direct else ())


def options(protocol: nodes.Protocol) -> api.Message | None:
    """How requests travel there; None where there are none."""
    if protocol is nodes.Protocol.UNKNOWN:
        return http.upstream_options(http2=True)
    return http.upstream_options(http2=protocol is not nodes.Protocol.HTTP) if protocol.is_http else None


def dialled(picture: view.MeshView, service: endpoints.Service) -> Dialled:
    """The endpoints of a service that can be dialled as their ExternalServices ask for.

    One with certificates that are not at hand is left out: nobody is dialled unverified, or without the certificate
    that it asks for.
    """
    known = {each.meta.name: each.spec.networking for each in picture.of_kind("ExternalService")}
    out: list[tuple[endpoints.Endpoint, origination.Origination | None]] = []
    for each in service.endpoints:
        named = dict(each.tags).get(zones.EXTERNAL_SERVICE_TAG)
        networking = known.get(named) if named else None
        if named is None:
            out.append((each, None))
        elif networking is not None and networking.tls is not None:
            wanted = origination.of_external_service(networking.tls, each.address, origination.secrets_of(picture))
            if wanted is not None:
                out.append((each, wanted))
    return tuple(out)


def cluster(facts: nodes.ClusterFacts, found: Outside) -> api.Message:
    """The cluster of a destination that is dialled directly, without its endpoints."""
    is_named = any(not origination.is_ip(each.address) for each, _ in found.dialled)
    out = clusters.cluster(facts.name, "STRICT_DNS" if is_named else "STATIC")
    if is_named and not facts.ipv6:
        out.dns_lookup_family = api.Cluster.DnsLookupFamily.V4_ONLY
    for each, conf in found.dialled:
        if conf is not None:
            match = out.transport_socket_matches.add(name=each.address)
            match.match.update(dict(each.tags))
            match.transport_socket.CopyFrom(tls.socket(origination.context(conf)))
    return out
