"""Direct access: instances of services that an application dials by their own addresses, without any balancing.

Transparent proxying takes such a connection for one to a stranger and sends it as it is; with a listener for each
instance it goes out with mutual TLS. Source: Kuma's documentation, "Transparent proxying".
"""

import ipaddress
from collections.abc import Iterator

from kuma.base import labels
from kuma.compiler import credentials, inbounds, listeners, prometheus
from kuma.envoy import api, clusters, names, tls
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, metrics

ORIGIN = "direct-access"
_ALL = "*"


def direct_nodes(
    picture: view.MeshView, subject: proxy.ProxyFacts
) -> tuple[list[nodes.ListenerNode], list[nodes.ClusterNode]]:
    """A listener for each instance, and the cluster of all of them; nothing where no service is dialled directly."""
    wanted = subject.spec.direct_services
    networking = subject.spec.networking
    if not wanted or networking is None or not subject.redirect.enabled:
        return [], []
    taken = {(each.address or "127.0.0.1", each.port) for each in networking.outbound}
    found = set(_instances(picture, subject, frozenset(wanted))) - taken
    made = [_listener(address, port) for address, port in sorted(found)]
    cluster = nodes.ClusterNode(
        names.DIRECT_ACCESS, clusters.cluster(names.DIRECT_ACCESS, "ORIGINAL_DST"), origin=ORIGIN
    )
    cluster.tls = _upstream(picture, subject)
    authors = [res.ref_to(subject.resource), res.ref_to(picture.resource)]
    for listener in made:
        nodes.add_authors(listener, authors)
    nodes.add_authors(cluster, authors)
    return made, [cluster]


def _instances(picture: view.MeshView, subject: proxy.ProxyFacts, wanted: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Addresses and ports of instances, but for those at the proxy's own addresses, where other listeners of it are.

    Those that are known by a host name are left out as well: nothing can listen on a name.
    """
    read = prometheus.of_mesh(picture)
    own = {subject.address, *(each.address for each in inbounds.facts(subject))}
    for name, other in picture.dataplanes.items():
        if name == subject.resource.meta.name:
            continue
        for service, address, port in _offers(other.spec, read):
            if (service in wanted or _ALL in wanted) and address not in own and _is_ip(address):
                yield address, port


def _offers(spec: dataplane.Dataplane, read: metrics.PrometheusConf | None) -> Iterator[tuple[str, str, int]]:
    """The services of a proxy, that of its metrics (`read`) among them, each with where it is."""
    networking = spec.networking
    if networking is None:
        return
    for each in networking.inbound:
        yield each.tags.get(labels.SERVICE_TAG, ""), each.address or networking.address, each.port
    if read is not None:
        conf = prometheus.of_proxy(read, spec)
        yield conf.tags.get(labels.SERVICE_TAG, ""), networking.address, conf.port


def _is_ip(address: str) -> bool:
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True


def _listener(address: str, port: int) -> nodes.ListenerNode:
    name = f"{names.DIRECT_ACCESS}_{address}:{port}"
    message = listeners.tcp_listener(name, address, port, api.OUTBOUND)
    message.bind_to_port.value = False
    tcp = api.TcpProxy(stat_prefix=names.sanitize_stat(name), cluster=names.DIRECT_ACCESS)
    return nodes.ListenerNode(name, message, [nodes.ChainNode(tcp=tcp)], origin=ORIGIN)


def _upstream(picture: view.MeshView, subject: proxy.ProxyFacts) -> api.Message | None:
    """Any proxy of the mesh may answer: nobody knows which service an address is of."""
    shown = credentials.held(picture, subject, unified=inbounds.is_unified(picture, subject)).shown
    if shown is None:
        return None
    prefix = shown.clients[0] if len(shown.clients) == 1 else ""
    return tls.upstream(shown.identity, shown.roots, "", prefix=prefix, server=shown.server)
