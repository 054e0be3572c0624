"""MeshHealthCheck as the active health checks of clusters.

The protocol of the destination picks the check; where its own is there and disabled, `tcp` takes its place. Source:
Kuma's documentation, "MeshHealthCheck"; Envoy's API, "Health check".
"""

from collections.abc import Hashable
from decimal import Decimal

from kuma.envoy import api, http
from kuma.plan import nodes, proxy
from kuma.policies.meshhealthcheck import model
from kuma.policy_engine import policy
from kuma.policy_engine.merging import rules
from kuma.resources import values

ORDER = 1200

_INTERVAL, _TIMEOUT = 60.0, 15.0
_UNHEALTHY, _HEALTHY = 5, 1
_EVENT_FILE = "envoy.health_check.event_sinks.file"


class MeshHealthCheck(policy.Policy):
    """Health checks of the endpoints of destinations, by `to`."""

    kind = model.KIND
    order = ORDER
    at_egress = ("cluster",)

    def personal(self, found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Hashable:
        """The header that tells an HTTP server who asks; nothing where no policy asks over HTTP."""
        asked = any(entry.default.http is not None for each in found.policies for entry in each.spec.to or ())
        return subject.tags_header if asked else None

    def cluster(self, conf: policy.Conf, node: nodes.DestinationNode, context: policy.Context) -> None:
        """Asks the endpoints of a destination."""
        if conf is None:
            return
        wanted: model.Conf = conf.conf
        message = node.cluster.message
        if wanted.healthy_panic_threshold is not None:
            message.common_lb_config.healthy_panic_threshold.value = float(Decimal(wanted.healthy_panic_threshold))
        weighted = message.common_lb_config.HasField("locality_weighted_lb_config")  # has no such switch
        if wanted.fail_traffic_on_panic is not None and not weighted:
            message.common_lb_config.zone_aware_lb_config.fail_traffic_on_panic = wanted.fail_traffic_on_panic
        check = api.HealthCheck()
        if not _set_protocol(check, wanted, node.facts.protocol, str(context.own or "")):
            return
        _set_pace(check, wanted)
        message.health_checks.append(check)


POLICY = MeshHealthCheck()


def _set_protocol(check: api.Message, conf: model.Conf, protocol: nodes.Protocol, tags: str) -> bool:
    """Fills in what is asked; False where no check of the conf fits the protocol."""
    named = _check_of(conf, protocol)
    if named is not None and not named.disabled:
        if isinstance(named, model.HttpCheck):
            _set_http(check.http_health_check, named, protocol, tags)
        elif isinstance(named, model.GrpcCheck):
            check.grpc_health_check.service_name = named.service_name or ""
            check.grpc_health_check.authority = named.authority or ""
            check.grpc_health_check.SetInParent()
        else:
            _set_tcp(check.tcp_health_check, named)
        return True
    if named is None or conf.tcp is None or conf.tcp.disabled:
        return False
    _set_tcp(check.tcp_health_check, conf.tcp)
    return True


def _check_of(conf: model.Conf, protocol: nodes.Protocol) -> model.HttpCheck | model.GrpcCheck | model.TcpCheck | None:
    if protocol in (nodes.Protocol.HTTP, nodes.Protocol.HTTP2):
        return conf.http
    if protocol is nodes.Protocol.GRPC:
        return conf.grpc
    return conf.tcp if protocol is nodes.Protocol.TCP else None


def _set_tcp(out: api.Message, conf: model.TcpCheck) -> None:
    """Bytes are sent and expected as they are written; Envoy takes them in hexadecimal, and none that are empty."""
    out.SetInParent()
    if conf.send:
        out.send.text = conf.send.encode().hex()
    for each in conf.receive or ():
        if each:
            out.receive.add(text=each.encode().hex())


def _set_http(out: api.Message, conf: model.HttpCheck, protocol: nodes.Protocol, tags: str) -> None:
    out.path = conf.path or "/"
    if tags:
        header = out.request_headers_to_add.add().header
        header.key, header.value = http.TAGS_HEADER, tags
    changes = conf.request_headers_to_add
    for headers, action in (
        (changes.add if changes else None, "APPEND_IF_EXISTS_OR_ADD"),
        (changes.set if changes else None, "OVERWRITE_IF_EXISTS_OR_ADD"),
    ):
        for each in headers or ():
            for value in each.value.split(","):
                option = out.request_headers_to_add.add()
                option.header.key, option.header.value = each.name, value
                option.append_action = api.HeaderValueOption.HeaderAppendAction.Value(action)
    for status in conf.expected_statuses or ():
        out.expected_statuses.add(start=status, end=status + 1)
    if protocol is nodes.Protocol.HTTP2:
        out.codec_client_type = api.HTTP2


def _set_pace(check: api.Message, conf: model.Conf) -> None:
    check.interval.CopyFrom(_duration(conf.interval, _INTERVAL))
    check.timeout.CopyFrom(_duration(conf.timeout, _TIMEOUT))
    check.unhealthy_threshold.value = _UNHEALTHY if conf.unhealthy_threshold is None else conf.unhealthy_threshold
    check.healthy_threshold.value = _HEALTHY if conf.healthy_threshold is None else conf.healthy_threshold
    for name in ("initial_jitter", "interval_jitter", "no_traffic_interval"):
        value = getattr(conf, name)
        if value is not None:
            getattr(check, name).CopyFrom(api.nanoseconds(value.nanoseconds))
    if conf.interval_jitter_percent is not None:
        check.interval_jitter_percent = conf.interval_jitter_percent
    if conf.event_log_path:
        sink = api.HealthCheckEventFile(event_log_path=conf.event_log_path)
        check.event_logger.add(name=_EVENT_FILE).typed_config.CopyFrom(api.pack(sink))
    if conf.always_log_health_check_failures is not None:
        check.always_log_health_check_failures = conf.always_log_health_check_failures
    if conf.reuse_connection is not None:
        check.reuse_connection.value = conf.reuse_connection


def _duration(value: values.GoDuration | None, default: float) -> api.Message:
    return api.seconds(default) if value is None else api.nanoseconds(value.nanoseconds)
