"""Listeners of a proxy that is the ingress or the egress of its mesh.

Such a proxy belongs to one mesh, so policies select it as any other. Each destination is an inbound to them: what they
say of server names (`sni`) is said of one chain. There are such listeners only in meshes with `meshServices.mode:
Exclusive`; an egress takes those alone that a MeshIdentity speaks for. Source: Kuma's documentation, "Zone proxies".
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from kuma.compiler import credentials, listeners, matched, outbounds, zone_ways
from kuma.envoy import api, clusters, names, tls
from kuma.mesh import destinations, view
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy
from kuma.policy_engine.merging import merge, rules
from kuma.resources import names as resource_names
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, meshexternalservice

INGRESS_ORIGIN = "ingress"


def add_listeners(plan: nodes.ProxyPlan, picture: view.MeshView, said: matched.Matched, held: credentials.Held) -> None:
    """Adds what the listeners of a proxy ask for to its plan, edited by all policies but those about whole proxies.

    One that is not ready is there as well, for those who still hold connections; nobody is sent to it.
    """
    networking = plan.proxy.spec.networking
    if networking is None or not networking.listeners or not picture.is_exclusive:
        return
    for each in networking.listeners:
        if each.type is dataplane.ListenerType.ZONE_INGRESS:
            _add_ingress(plan, picture, each)
        elif each.type is dataplane.ListenerType.ZONE_EGRESS and held.of_identity is not None:
            for found in _named(picture, meshexternalservice.KIND.short):
                _add_way_out(plan, picture, each, found, said, held.of_identity)


def _named(picture: view.MeshView, *kinds: str) -> Iterator[destinations.Destination]:
    """The destinations of some kinds that have a server name, in the order of their identifiers."""
    for each in sorted(picture.destinations.all(), key=lambda found: str(found.kri)):
        if each.kri.short in kinds and not resource_names.sni_problems(each.kri):
            yield each


def _listener(plan: nodes.ProxyPlan, written: dataplane.Listener, name: str, origin: str) -> nodes.ListenerNode:
    subject = plan.proxy
    message = listeners.tcp_listener(name, written.address or subject.address, written.port, api.INBOUND)
    message.stat_prefix = name
    message.enable_reuse_port.value = subject.has(proxy.REUSE_PORT)
    tls.inspect(message)
    made = nodes.ListenerNode(name, message, origin=origin)
    nodes.add_authors(made, [res.ref_to(subject.resource)])
    return made


def _match(found: destinations.Destination) -> api.Message:
    return api.FilterChainMatch(transport_protocol="tls", server_names=[resource_names.sni(found.kri)])


def _add_ingress(plan: nodes.ProxyPlan, picture: view.MeshView, written: dataplane.Listener) -> None:
    """Connections from other zones go on as they are, to proxies of this one."""
    made = _listener(plan, written, names.zone_listener("ingress", written.section), INGRESS_ORIGIN)
    for found in _named(picture, "msvc", "mzsvc"):
        if not found.is_local and found.kri.short == "msvc":
            continue
        name = str(found.kri)
        tcp = api.TcpProxy(stat_prefix=names.sanitize_stat(name), cluster=name)
        made.chains.append(nodes.ChainNode(match=_match(found), tcp=tcp))
        cluster = nodes.ClusterNode(name, clusters.cluster(name, "EDS"), origin=INGRESS_ORIGIN)
        nodes.add_authors(cluster, [res.ref_to(found.resource)])
        plan.clusters.append(cluster)
        answering = picture.endpoints_of(found.kri).endpoints
        near = (each for each in answering if each.zone in ("", picture.zones.zone))
        plan.assignments.append(outbounds.load_assignment(name, near))
    if made.chains:
        plan.listeners.append(made)


def _add_way_out(
    plan: nodes.ProxyPlan,
    picture: view.MeshView,
    written: dataplane.Listener,
    found: destinations.Destination,
    said: matched.Matched,
    shown: credentials.Credentials,
) -> None:
    """A chain for a MeshExternalService and the cluster behind it."""
    subject = plan.proxy
    way = zone_ways.to_mesh_external_service(picture, subject, found, unified=True, tags=found.resource.meta.labels)
    if isinstance(way, str):
        plan.problems.append(way)
    if way is None or isinstance(way, str):
        return
    context = tls.downstream(shown.identity, shown.roots, (), shown.server)
    chain = zone_ways.ending_chain(way.facts, way.title, way.title, way.title, context, ipv6=subject.ipv6)
    chain.match = _match(found)
    listener = _listener(plan, written, names.zone_listener("egress", written.section), zone_ways.ORIGIN)
    listener.chains.append(chain)
    where = written.address or subject.address
    facts = nodes.InboundFacts(way.facts.service, written.section, where, written.port, "", 0, way.facts.protocol, ())
    way.cluster.message.load_assignment.CopyFrom(way.assignment)
    node = nodes.InboundNode(facts, listener, way.cluster)
    for voice in said.editing("inbound"):
        heard = narrowed(voice.found.inbound(where, written.port), resource_names.sni(found.kri))
        if voice.speaker.hears_egress_as_outbound:
            _edit_as_outbound(voice, heard, node, way.facts)
        else:
            voice.speaker.inbound(heard, node, voice.context)
    for voice in said.editing("cluster"):
        conf = voice.speaker.conf_for(voice.found, way.facts)
        voice.speaker.cluster(conf, nodes.DestinationNode(way.facts, way.cluster), voice.context)
        nodes.add_authors(way.cluster, conf.origins if conf is not None else ())
    plan.inbounds.append(node)


def _edit_as_outbound(
    voice: matched.Voice, heard: rules.InboundRules, node: nodes.InboundNode, facts: nodes.ClusterFacts
) -> None:
    """Lets a policy speak of a chain as it does of the way to a destination."""
    conf: policy.Conf = heard.base
    if conf is None:
        return
    subject = nodes.OutboundFacts(facts, node.facts.address, node.facts.port, True, True, voice.context.ipv6)
    outbound = nodes.OutboundNode(subject, node.listener)
    voice.speaker.outbound(conf, outbound, voice.context)
    zone_ways.edit_routes(voice.speaker, conf, node.listener.chains, subject, voice.context)
    nodes.add_authors(node.listener, conf.origins)


def merged(several: Iterable[nodes.ListenerNode]) -> Iterator[nodes.ListenerNode]:
    """The listeners of inbounds; those to which an egress listens for one destination each as the one that they are."""
    found: dict[str, nodes.ListenerNode] = {}
    for each in several:
        if each.origin != zone_ways.ORIGIN:
            yield each
            continue
        first = found.setdefault(each.name, each)
        if first is not each:
            first.chains += each.chains
            nodes.add_authors(first, each.authors)
    yield from found.values()


def narrowed(found: rules.InboundRules, sni: str) -> rules.InboundRules:
    """What is said of the connections that ask for one server name, as if nothing else was known of it."""
    about = [each for each in found.rules if each.match is None or each.match.sni in (None, _exact(each, sni))]
    if len(about) == len(found.rules) and all(each.match is None or each.match.sni is None for each in about):
        return found
    kept, own = [], []
    for each in about:
        if each.match is None or each.match.sni is None:
            kept.append(each)
        elif each.match.spiffe_id is None:
            own.append(replace(each, match=None))
        else:
            kept.append(replace(each, match=type(each.match)(spiffe_id=each.match.spiffe_id)))
    merged = [found.base] if found.base is not None else []
    merged += [each.merged for each in own]
    base = None
    if merged:
        origins = tuple(dict.fromkeys(who for each in merged for who in each.origins))
        base = rules.Merged(merge.merge_confs([each.conf for each in merged])[0], origins)
    return replace(found, rules=(*kept, *own), base=base)


def _exact(rule: rules.InboundRule, sni: str) -> object:
    """The rule's own match of the server name, if it is about this one."""
    match = rule.match.sni if rule.match is not None else None
    return match if match is not None and match.value == sni else None
