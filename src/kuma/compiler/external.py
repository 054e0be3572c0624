"""Destinations beyond the mesh: what makes their clusters different.

Mostly an egress leads there. ExternalServices without one are dialled by the proxies themselves: their addresses may be
host names, so they stand in the cluster, and each may have TLS of its own. Source: Kuma's documentation, "External
Service" and "MeshExternalService".
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from kuma.envoy import api, clusters, http, tls
from kuma.mesh import endpoints, view, zones
from kuma.plan import nodes
from kuma.resources import datasource
from kuma.resources.kinds import externalservice

Dialled = tuple[tuple[endpoints.Endpoint, externalservice.Tls | None], ...]
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
    return Outside(protocol, _dialled(picture, service) if facts.is_direct else ())


def options(protocol: nodes.Protocol) -> api.Message | None:
    """How requests travel there; None where there are none."""
    if protocol is nodes.Protocol.UNKNOWN:
        return http.upstream_options(http2=True)
    return http.upstream_options(http2=protocol is not nodes.Protocol.HTTP) if protocol.is_http else None


def _dialled(picture: view.MeshView, service: endpoints.Service) -> Dialled:
    """The endpoints of a service that can be dialled as their ExternalServices ask for.

    One with certificates that do not stand in the resource itself is left out: nobody is dialled unverified, or
    without the certificate that it asks for.
    """
    known = {each.meta.name: each.spec.networking for each in picture.of_kind("ExternalService")}
    out: list[tuple[endpoints.Endpoint, externalservice.Tls | None]] = []
    for each in service.endpoints:
        named = dict(each.tags).get(zones.EXTERNAL_SERVICE_TAG)
        networking = known.get(named) if named else None
        if named is None:
            out.append((each, None))
        elif networking is not None and networking.tls is not None and _is_complete(networking.tls):
            out.append((each, networking.tls))
    return tuple(out)


def _is_complete(conf: externalservice.Tls) -> bool:
    sources = (conf.ca_cert, conf.client_cert, conf.client_key)
    is_pair = (conf.client_cert is None) == (conf.client_key is None)
    return is_pair and all(each is None or bool(_inline(each)) for each in sources)


def _inline(source: datasource.DataSource) -> bytes:
    """What stands in a data source itself."""
    return source.inline or (source.inline_string or "").encode()


def cluster(facts: nodes.ClusterFacts, found: Outside) -> api.Message:
    """The cluster of a destination that is dialled directly, without its endpoints."""
    is_named = any(not _is_ip(each.address) for each, _ in found.dialled)
    out = clusters.cluster(facts.name, "STRICT_DNS" if is_named else "STATIC")
    if is_named and not facts.ipv6:
        out.dns_lookup_family = api.Cluster.DnsLookupFamily.V4_ONLY
    for each, conf in found.dialled:
        if conf is not None:
            match = out.transport_socket_matches.add(name=each.address)
            match.match.update(dict(each.tags))
            match.transport_socket.CopyFrom(tls.socket(_context(each.address, conf)))
    return out


def _context(address: str, conf: externalservice.Tls) -> api.Message:
    """Client side of TLS to a server that is none of ours; it is verified where there is a certificate to do it with."""
    out = api.UpstreamTlsContext(allow_renegotiation=bool(conf.allow_renegotiation))
    host = conf.server_name or address
    if not _is_ip(host):
        out.sni = host
    if conf.client_cert is not None and conf.client_key is not None:
        own = out.common_tls_context.tls_certificates.add()
        own.certificate_chain.inline_bytes = _inline(conf.client_cert)
        own.private_key.inline_bytes = _inline(conf.client_key)
    if conf.ca_cert is not None:
        trusted = out.common_tls_context.validation_context
        trusted.trusted_ca.inline_bytes = _inline(conf.ca_cert)
        if not conf.skip_hostname_verification:
            trusted.match_typed_subject_alt_names.extend(_names(host))
    return out


def _names(host: str) -> Iterable[api.Message]:
    for kind in (api.DNS_SAN, api.SubjectAltNameMatcher.SanType.IP_ADDRESS):
        yield api.SubjectAltNameMatcher(san_type=kind, matcher=api.StringMatcher(exact=host))


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
