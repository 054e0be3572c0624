"""Virtual probes: paths of one port of the proxy that stand for probes of the applications behind it.

Who probes from outside the mesh, as a kubelet does, reaches the applications although they take mutual TLS alone. Agents
that probe applications themselves need none. Source: Kuma's documentation, "Service health probes", and its goldens.
"""

from urllib.parse import unquote, urlsplit

from kuma.compiler import inbounds, listeners
from kuma.envoy import api, http, names
from kuma.mesh import view
from kuma.plan import nodes, proxy
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane

ORIGIN = "probe"
_HOST = "probe"
_METHOD = ":method"


def probe_listeners(picture: view.MeshView, subject: proxy.ProxyFacts) -> list[nodes.ListenerNode]:
    """The listener of the Dataplane's virtual probes; nothing where it has none or the agent probes."""
    probes = subject.spec.probes
    if probes is None or subject.probes_applications:
        return []
    unified = inbounds.is_unified(picture, subject)
    served = {
        each.workload_port: names.inbound_cluster(each.workload_port, each.section, unified)
        for each in inbounds.facts(subject)
    }
    message = listeners.tcp_listener(names.PROBE_LISTENER, subject.address, probes.port, api.INBOUND)
    message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
    if subject.redirect.enabled:
        message.bind_to_port.value = False
    manager = http.connection_manager(names.sanitize_stat(names.PROBE_LISTENER), local_only=True, ipv6=subject.ipv6)
    host = manager.route_config.virtual_hosts.add(name=_HOST, domains=["*"])
    manager.route_config.name = names.PROBE_ROUTES
    for each in probes.endpoints:
        _add_route(host, each, served.get(each.inbound_port, ""))
    made = nodes.ListenerNode(names.PROBE_LISTENER, message, [nodes.ChainNode(http=manager)], origin=ORIGIN)
    nodes.add_authors(made, [res.ref_to(subject.resource)])
    return [made]


def _add_route(host: api.Message, probe: dataplane.Endpoint, cluster: str) -> None:
    """A probe of an application without inbound is sent on to it: no cluster leads there."""
    route = host.routes.add()
    route.match.path = _path(probe.path)
    route.match.headers.append(http.header_matcher("Exact", _METHOD, "GET"))
    if cluster:
        route.route.cluster = cluster
        route.route.regex_rewrite.pattern.regex = ".*"
        route.route.regex_rewrite.substitution = _path(probe.inbound_path).replace("\\", "\\\\")
    else:
        route.redirect.path_redirect = _path(probe.inbound_path)
        route.redirect.port_redirect = probe.inbound_port


def _path(url: str) -> str:
    return unquote(urlsplit(url).path)
