"""MeshTrace as the tracing of connection managers, and the cluster of the collector.

Spans of a sidecar are those of its inbounds and outbounds that speak HTTP; outbounds to MeshExternalServices have
none. Source: Kuma's documentation, "MeshTrace"; Envoy's API, "HTTP connection manager: tracing".
"""

from collections.abc import Hashable
from dataclasses import dataclass

from kuma.envoy import api, clusters, constraints, names
from kuma.plan import nodes, proxy
from kuma.policies.meshtrace import model
from kuma.policy_engine import collectors, policy
from kuma.policy_engine.merging import rules
from kuma.policy_engine.writing import bounds, urls
from kuma.resources import resource as res

ORDER = 700
ORIGIN = "mesh-trace"
ZIPKIN_PATH = "/api/v2/spans"
"""Where Zipkin takes spans, for a URL that does not say."""

EXPORT_SECONDS = 10.0
"""How long a collector that takes OTLP over HTTP may take for a batch of spans."""

_EXTERNAL = "extsvc"


@dataclass(frozen=True, slots=True)
class Own:
    """What of the proxy itself goes into its spans. `service` is empty where the collector is not told.

    `reach` leaves out what stands in the collector's cluster alone, which no proxy shares.
    """

    service: str
    workload: str
    reach: collectors.Reach


class MeshTrace(policy.Policy):
    """The spans of a proxy."""

    kind = model.KIND
    order = ORDER

    def personal(self, found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Hashable:
        """Who reports. Zipkin knows that from Envoy's bootstrap, so proxies that report to it share their outbounds."""
        backend = _backend(found.single)
        if backend is None:
            return None
        is_told = backend.zipkin is None
        reach = collectors.Reach("", "", False)
        if backend.open_telemetry is not None:
            own = collectors.reach_of(subject)
            reach = collectors.Reach("", "" if own.has_pipe else own.host_address, own.has_pipe)
        return Own(subject.title if is_told else "", subject.workload, reach)

    def outbound(self, conf: policy.Conf, node: nodes.OutboundNode, context: policy.Context) -> None:
        """Traces requests to a destination."""
        facts = node.facts.destination
        if facts.target is None or facts.target.short != _EXTERNAL:
            _trace(node.listener, conf, context, f"_OUTBOUND_{facts.service}")

    def proxy(self, found: rules.ProxyRules, plan: nodes.ProxyPlan, context: policy.Context) -> None:
        """Traces requests of clients, and adds the cluster of the collector."""
        backend = _backend(found.single)
        if found.single is None or backend is None or not isinstance(context.own, Own):
            return
        for inbound in plan.inbounds:
            _trace(inbound.listener, found.single, context, "_INBOUND" if inbound.facts.workload_port else "")
            nodes.add_authors(inbound.listener, found.single.origins)
        authors = [res.ref_to(each) for each in found.policies]
        if backend.open_telemetry is None:
            plan.clusters.append(_cluster(backend, plan.proxy, context, authors))
            return
        way = _way(backend.open_telemetry, context, collectors.reach_of(plan.proxy))
        if way is not None:
            name = names.tracing_collector("opentelemetry", way.collector.name, context.unified)
            plan.clusters.append(collectors.cluster(name, way, plan.proxy, ORIGIN, authors))
            collectors.tell_agent(plan, way.collector, "traces")


POLICY = MeshTrace()


def _backend(conf: policy.Conf) -> model.Backend | None:
    """The only backend; None where there is none, which turns tracing off."""
    backends = conf.conf.backends if conf is not None else None
    return backends[0] if backends else None


def _way(backend: model.OpenTelemetry, context: policy.Context, reach: collectors.Reach) -> collectors.Way | None:
    collector = collectors.resolve(collectors.reference(backend), context.collectors)
    return reach.way(collector) if collector is not None else None


def _trace(listener: nodes.ListenerNode, conf: policy.Conf, context: policy.Context, side: str) -> None:
    """Lets the connection managers of a listener report; `side` tells Datadog's services apart."""
    backend = _backend(conf)
    if conf is None or backend is None or all(chain.http is None for chain in listener.chains):
        return
    tracer = _tracer(backend, context, side)
    if tracer is None:
        return
    tracing = api.HttpConnectionManager.Tracing()
    tracing.spawn_upstream_span.value = False
    _set_sampling(tracing, conf.conf.sampling or model.Sampling())
    _add_tags(tracing, conf.conf.tags or (), context)
    tracing.provider.name = tracer[0]
    tracing.provider.typed_config.CopyFrom(api.pack(tracer[1]))
    for chain in listener.chains:
        if chain.http is not None:
            chain.http.tracing.CopyFrom(tracing)


def _set_sampling(tracing: api.Message, wanted: model.Sampling) -> None:
    for field, value in (
        (tracing.overall_sampling, wanted.overall),
        (tracing.client_sampling, wanted.client),
        (tracing.random_sampling, wanted.random),
    ):
        if value is not None:
            field.value = float(bounds.decimal_of(value) or 0)


def _add_tags(tracing: api.Message, wanted: tuple[model.Tag, ...], context: policy.Context) -> None:
    """The tags that users ask for, then those that tell where a span is from, unless users said it otherwise.

    Envoy takes no tag without a value, nor of a header that cannot be.
    """
    for each in wanted:
        tag = api.CustomTag(tag=each.name)
        if each.header is not None:
            tag.request_header.name = each.header.name
            tag.request_header.default_value = each.header.default or ""
        else:
            tag.literal.value = each.literal or ""
        if not constraints.first_violation(tag):
            tracing.custom_tags.append(tag)
    workload = context.own.workload if isinstance(context.own, Own) else ""
    for name, value in (("kuma.mesh", context.mesh), ("kuma.zone", context.zone), ("kuma.workload", workload)):
        if value and all(each.name != name for each in wanted):
            tracing.custom_tags.add(tag=name).literal.value = value


def _tracer(backend: model.Backend, context: policy.Context, side: str) -> tuple[str, api.Message] | None:
    """The name and the configuration of Envoy's tracer; None where the collector is not there."""
    service = context.own.service if isinstance(context.own, Own) else ""
    if backend.zipkin is not None:
        return "envoy.tracers.zipkin", _zipkin(backend.zipkin, context.unified)
    if backend.datadog is not None:
        name = names.tracing_collector("datadog", backend.datadog.url, context.unified)
        reported = service + side if backend.datadog.split_service else service
        return "envoy.tracers.datadog", api.DatadogTracer(collector_cluster=name, service_name=reported)
    if backend.open_telemetry is None or not isinstance(context.own, Own):
        return None
    way = _way(backend.open_telemetry, context, context.own.reach)
    return ("envoy.tracers.opentelemetry", _otlp(way, service, context.unified)) if way is not None else None


def _zipkin(wanted: model.Zipkin, unified: bool) -> api.Message:
    url = urls.target_of(wanted.url)
    out = api.ZipkinTracer(
        collector_cluster=names.tracing_collector("zipkin", wanted.url, unified),
        collector_endpoint=url.path or ZIPKIN_PATH,
        collector_hostname=url.authority,
        trace_id_128bit=bool(wanted.trace_id_128bit),
    )
    out.shared_span_context.value = wanted.shared_span_context is not False
    version = "HTTP_PROTO" if wanted.api_version == "httpProto" else "HTTP_JSON"
    out.collector_endpoint_version = api.ZipkinTracer.CollectorEndpointVersion.Value(version)
    return out


def _otlp(way: collectors.Way, service: str, unified: bool) -> api.Message:
    name = names.tracing_collector("opentelemetry", way.collector.name, unified)
    out = api.OtlpTracer(service_name=service)
    if way.http2:
        out.grpc_service.envoy_grpc.cluster_name = name
        return out
    host = f"[{way.host}]" if ":" in way.host else way.host
    scheme = "https" if way.collector.https else "http"
    target = out.http_service.http_uri
    target.uri = f"{scheme}://{host}:{way.port}{way.collector.path.rstrip('/')}/v1/traces"
    target.cluster = name
    target.timeout.CopyFrom(api.seconds(EXPORT_SECONDS))
    return out


def _cluster(
    backend: model.Backend, subject: proxy.ProxyFacts, context: policy.Context, authors: list[res.ResourceRef]
) -> nodes.ClusterNode:
    """The cluster of a collector that is given by a URL."""
    kind, text = "zipkin", backend.zipkin.url if backend.zipkin is not None else ""
    if backend.datadog is not None:
        kind, text = "datadog", backend.datadog.url
    url, name = urls.target_of(text), names.tracing_collector(kind, text, context.unified)
    message = clusters.outside(name, url.host, url.port, ipv6=":" in subject.address)
    if url.is_secure:
        clusters.secure_outside(message, url.host)
    made = nodes.ClusterNode(name, message, origin=ORIGIN)
    nodes.add_authors(made, authors)
    return made
