"""MeshAccessLog as the access logs of connection managers and TCP proxies, and the clusters of their collectors.

Files are written by Envoy. What goes to a TCP address is written into the agent's pipe, with the address; records for
OpenTelemetry are sent over gRPC. Logs of a MeshHTTPRoute stand beside those of the destination: a little Lua tells
both which route took a request. Source: Kuma's documentation, "MeshAccessLog"; the expressions are Envoy's CEL filter.
"""

import json
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from kuma.base import kri, sockets
from kuma.envoy import api, names, tls
from kuma.plan import nodes, proxy
from kuma.policies.meshaccesslog import formats, model
from kuma.policy_engine import collectors, policy
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from kuma.resources import targetref

ORDER = 600
ORIGIN = "mesh-access-log"
INBOUND, OUTBOUND = "INBOUND", "OUTBOUND"
TRANSPARENT, DIRECT_ACCESS = "transparent", "direct-access"
"""Origins of listeners whose traffic no outbound takes."""

EXTERNAL = "external"
"""What logs call a destination outside the mesh that nobody knows by a name."""

_FILE = "envoy.access_loggers.file"
_OTLP = "envoy.access_loggers.open_telemetry"
_CEL = "envoy.access_loggers.extension_filters.cel"
_LUA = "envoy.filters.http.lua"
_LUA_ROUTES = "kuma.routes"
_ROUTE = "route_kri"
_TELL_ROUTE = f"""function envoy_on_request(handle)
  local meta = handle:metadata():get("{_ROUTE}")
  if meta ~= nil then
    handle:streamInfo():dynamicMetadata():set("{_LUA_ROUTES}", "{_ROUTE}", meta)
  end
end
"""


@dataclass(frozen=True, slots=True)
class Own:
    """What of the proxy itself goes into its logs. `pipe` is the agent's, `used` all collectors in a stable order."""

    service: str
    address: str
    workload: str
    pipe: str
    reach: collectors.Reach
    used: tuple[collectors.Reference, ...]

    def clusters(self, context: policy.Context) -> dict[tuple[str, int, str, bool], tuple[str, collectors.Way]]:
        """Name and way of each cluster, by where it leads: what leads to the same place shares one."""
        found: dict[tuple[str, int, str, bool], tuple[str, collectors.Way]] = {}
        for each in self.used:
            collector = collectors.resolve(each, context.collectors)
            if collector is None:
                continue
            way = self.reach.way(collector)
            at = _place(way)
            if at not in found:
                found[at] = _cluster_name(len(found), way, context.unified), way
        return found


def _place(way: collectors.Way) -> tuple[str, int, str, bool]:
    return way.host, way.port, way.pipe, way.http2


def _cluster_name(index: int, way: collectors.Way, unified: bool) -> str:
    if way.pipe:
        return names.log_pipe(index, way.collector.name, unified)
    return names.log_collector(index, way.host, way.port, unified)


class MeshAccessLog(policy.Policy):
    """Logs of inbounds by `rules` and `from`, of outbounds and of traffic that leaves the mesh by `to`."""

    kind = model.KIND
    order = ORDER

    def personal(self, found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Hashable:
        """Who writes about destinations, and with what, as far as it stands in the lines. None where nobody does."""
        backends = [each for conf in _of_destinations(found) for each in conf.backends or ()]
        return _shown(_own(found, subject), backends) if backends else None

    def conf_for_route(
        self, found: rules.ProxyRules, destination: nodes.ClusterFacts, matches: str, rule: kri.Kri | None
    ) -> policy.Conf:
        """The conf of the route alone: requests of all others are logged as the destination's."""
        if rule is None or destination.target is None:
            return None
        own = found.to.resource_rules
        return own.find(rule) or own.find(rule.with_section(""))

    def outbound(self, conf: policy.Conf, node: nodes.OutboundNode, context: policy.Context) -> None:
        """Logs what goes to a destination."""
        if conf is None or not isinstance(context.own, Own):
            return
        facts = node.facts.destination
        made = _writer_to(facts, context, context.own).logs(conf.conf)
        if facts.target is not None and facts.protocol.is_http:
            for each in made:
                _only_route(each, "")
        _append(node.listener, made)

    def route(
        self, conf: policy.Conf, node: nodes.RouteNode, outbound: nodes.OutboundFacts, context: policy.Context
    ) -> None:
        """Logs what one MeshHTTPRoute takes, once for all of its Envoy routes."""
        if conf is None or node.chain.http is None or not isinstance(context.own, Own):
            return
        name = node.message.name
        node.message.metadata.filter_metadata[_LUA].update({_ROUTE: name})
        logs = node.chain.http.access_log
        made = _writer_to(outbound.destination, context, context.own).logs(conf.conf)
        if not made or any(_route_of(each) == name for each in logs):
            return
        for each in made:
            _only_route(each, name)
        logs.extend(made)
        logs.sort(key=_route_of)
        if all(each.name != _LUA for each in node.chain.http_filters):
            script = api.Lua()
            script.default_source_code.inline_string = _TELL_ROUTE
            node.chain.http_filters.append(nodes.FilterNode(nodes.Stage.LOG_FACTS, _LUA, script))

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: policy.Context) -> None:
        """Logs clients and what leaves the mesh unknown, and adds the clusters of collectors."""
        if not found.policies:
            return
        own = _own(found, plan.proxy)
        for node in plan.inbounds:
            _log_inbound(found.inbound(node.facts.address, node.facts.port), node, context, own)
        conf = found.to.resource_rules.find_mesh()
        if conf is not None:
            for listener in plan.listeners:
                destination = _unknown_destination(listener)
                if destination:
                    write = _Writer(context, own, nodes.Protocol.TCP, destination, OUTBOUND)
                    _append(listener, write.logs(conf.conf))
                    nodes.add_authors(listener, conf.origins)
        authors = [res.ref_to(each) for each in found.policies]
        for name, way in own.clusters(context).values():
            plan.clusters.append(collectors.cluster(name, way, plan.proxy, ORIGIN, authors))
        for each in own.used:
            collector = collectors.resolve(each, context.collectors)
            if collector is not None:
                collectors.tell_agent(plan, collector, "logs")


POLICY = MeshAccessLog()


def _own(found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Own:
    meta = subject.resource.meta
    return Own(
        subject.service,
        subject.address,
        subject.workload,
        sockets.access_log(subject.workdir, meta.mesh, meta.name),
        collectors.reach_of(subject),
        tuple(dict.fromkeys(_references([*_of_clients(found), *_of_destinations(found)]))),
    )


def _shown(own: Own, backends: Sequence[model.Backend]) -> Own:
    """What is needed of a proxy to write to some backends. Proxies that differ in the rest share their outbounds."""

    def named(placeholder: str) -> bool:
        return any(formats.names(each, placeholder) for each in backends)

    is_sent = any(each.open_telemetry is not None for each in backends)
    return Own(
        own.service if named("SOURCE_SERVICE") else "",
        own.address if named("SOURCE_ADDRESS") else "",
        own.workload if is_sent or named("WORKLOAD") else "",
        own.pipe if any(each.tcp is not None for each in backends) else "",
        own.reach if is_sent else collectors.Reach("", "", has_pipe=False),
        own.used if is_sent else (),
    )


def _log_inbound(found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context, own: Own) -> None:
    """Logs connections and requests from clients; each rule about some of them writes beside the others."""
    if found.is_empty:
        return
    facts = node.facts
    write = _Writer(context, own, facts.protocol, facts.service or proxy.UNKNOWN, INBOUND)
    made = [
        _only(each, _expression(rule.match))
        for rule in found.matched
        if rule.match is not None
        for each in write.logs(rule.conf)
    ]
    if found.base is not None:
        made += write.logs(found.base.conf)
    _append(node.listener, made)
    if any(rule.match is not None and rule.match.sni is not None for rule in found.matched):
        tls.inspect(node.listener.message)
    nodes.add_authors(node.listener, found.origins)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Makes the logs of one listener."""

    context: policy.Context
    own: Own
    protocol: nodes.Protocol
    destination: str
    direction: str

    def logs(self, conf: model.Conf) -> list[api.Message]:
        """The logs that a conf asks for, in its order; a collector that is not there gets none."""
        return [each for each in map(self._log, conf.backends or ()) if each is not None]

    def _log(self, backend: model.Backend) -> api.Message | None:
        values, default = self._values(), formats.DEFAULT_HTTP if self.protocol.is_http else formats.DEFAULT_TCP
        if backend.tcp is not None:
            form = formats.for_receiver(backend.tcp.address, backend.tcp.format, default, values)
            return _named(_FILE, api.FileAccessLog(path=self.own.pipe, log_format=form))
        if backend.file is not None:
            form = formats.in_file(backend.file.format, default, values)
            return _named(_FILE, api.FileAccessLog(path=backend.file.path, log_format=form))
        if backend.open_telemetry is not None:
            return self._otlp(backend.open_telemetry, default, values)
        return None

    def _values(self) -> formats.Values:
        is_inbound = self.direction == INBOUND
        return formats.Values(
            proxy.UNKNOWN if is_inbound else self.own.service,
            self.destination,
            self.own.address,
            self.context.mesh,
            self.context.zone,
            self.own.workload,
            self.direction,
        )

    def _otlp(self, backend: model.OpenTelemetry, default: str, values: formats.Values) -> api.Message | None:
        collector = collectors.resolve(collectors.reference(backend), self.context.collectors)
        if collector is None:
            return None
        name, _ = self.own.clusters(self.context)[_place(self.own.reach.way(collector))]
        out = api.OtlpAccessLog()
        out.common_config.log_name = "MeshAccessLog"
        out.common_config.transport_api_version = api.V3
        out.common_config.grpc_service.envoy_grpc.cluster_name = name
        out.body.CopyFrom(formats.body(backend.body, default, values))
        out.attributes.SetInParent()
        for each in backend.attributes or ():
            out.attributes.values.add(key=each.key).value.string_value = values.fill(each.value)
        for key, value in (("kuma.mesh", values.mesh), ("kuma.zone", values.zone), ("kuma.workload", values.workload)):
            if value:
                out.resource_attributes.values.add(key=key).value.string_value = value
        return _named(_OTLP, out)


def _writer_to(facts: nodes.ClusterFacts, context: policy.Context, own: Own) -> _Writer:
    destination = facts.target.name if facts.target is not None else facts.service
    return _Writer(context, own, facts.protocol, destination, OUTBOUND)


def _named(name: str, message: api.Message) -> api.Message:
    return api.AccessLog(name=name, typed_config=api.pack(message))


def _append(listener: nodes.ListenerNode, logs: Sequence[api.Message]) -> None:
    for chain in listener.chains:
        for carrier in (chain.http, chain.tcp):
            if carrier is not None:
                carrier.access_log.extend(logs)


def _only(log: api.Message, expression: str) -> api.Message:
    """A log of what an expression is true for."""
    log.filter.extension_filter.name = _CEL
    log.filter.extension_filter.typed_config.CopyFrom(api.pack(api.CelFilter(expression=expression)))
    return log


def _expression(match: targetref.Match) -> str:
    """The connections that a rule is about, in the Common Expression Language."""
    parts = []
    if match.spiffe_id is not None:
        quoted = json.dumps(match.spiffe_id.value, ensure_ascii=False)
        uri = "connection.uri_san_peer_certificate"
        is_prefix = match.spiffe_id.type == "Prefix"
        parts.append(f"{uri}.startsWith({quoted})" if is_prefix else f"{uri} == {quoted}")
    if match.sni is not None:
        parts.append(f"connection.requested_server_name == {json.dumps(match.sni.value, ensure_ascii=False)}")
    return " && ".join(parts)


def _only_route(log: api.Message, route: str) -> None:
    """A log of the requests of one MeshHTTPRoute; for an empty name, of those that none with a log of its own took."""
    wanted = log.filter.metadata_filter
    wanted.matcher.filter = _LUA_ROUTES
    wanted.matcher.path.add(key=_ROUTE)
    if route:
        wanted.matcher.value.string_match.exact = route
    else:
        wanted.matcher.value.null_match.SetInParent()
    wanted.match_if_key_not_found.value = not route


def _route_of(log: api.Message) -> str:
    return str(log.filter.metadata_filter.matcher.value.string_match.exact)


def _unknown_destination(listener: nodes.ListenerNode) -> str:
    """What logs call the destination of a listener for traffic that no outbound takes; empty for other listeners."""
    if listener.message.traffic_direction != api.OUTBOUND:
        return ""
    if listener.origin == TRANSPARENT:
        return EXTERNAL
    return listener.name if listener.origin == DIRECT_ACCESS else ""


def _of_clients(found: rules.ProxyRules) -> Iterator[model.Conf]:
    for of_inbound in found.inbounds.values():
        yield from (rule.conf for rule in of_inbound.rules)


def _of_destinations(found: rules.ProxyRules) -> Iterator[model.Conf]:
    yield from (each.merged.conf for each in found.to.resource_rules.all())
    yield from (each.merged.conf for each in found.to.tag_rules.all())


def _references(confs: Iterable[model.Conf]) -> Iterator[collectors.Reference]:
    for conf in confs:
        for backend in conf.backends or ():
            if backend.type == model.BackendType.OPEN_TELEMETRY and backend.open_telemetry is not None:
                yield collectors.reference(backend.open_telemetry)
