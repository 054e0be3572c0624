"""MeshRetry as the retry policies of routes and the connection attempts of TCP proxies.

Each part of a conf is about one protocol: `http` about HTTP/1 destinations alone. Source: Kuma's documentation,
"MeshRetry"; what the conditions mean, Envoy's `x-envoy-retry-on`. What Envoy would refuse, and with it all of a
listener, is bent to the nearest thing that it takes.
"""

from collections.abc import Sequence
from typing import Any

from kuma.envoy import api, http
from kuma.plan import nodes
from kuma.policies.meshretry import model, validate
from kuma.policy_engine import policy

ORDER = 1400
BASE_INTERVAL = 25_000_000
"""Nanoseconds, where `backOff` leaves it out; Envoy insists on one."""
SHORTEST_INTERVAL = 1_000_000
"""Nanoseconds; Envoy takes shorter ones for this, and none that is not above zero."""

_HTTP_DEFAULT = "gateway-error,connect-failure,refused-stream"
_GRPC_DEFAULT = "cancelled,connect-failure,gateway-error,refused-stream,reset,resource-exhausted,unavailable"
_HTTP_CONDITIONS = {
    "5xx": "5xx",
    "GatewayError": "gateway-error",
    "Reset": "reset",
    "Retriable4xx": "retriable-4xx",
    "ConnectFailure": "connect-failure",
    "EnvoyRatelimited": "envoy-ratelimited",
    "RefusedStream": "refused-stream",
    "Http3PostConnectFailure": "http3-post-connect-failure",
}
_GRPC_CONDITIONS = {
    "Canceled": "cancelled",
    "DeadlineExceeded": "deadline-exceeded",
    "Internal": "internal",
    "ResourceExhausted": "resource-exhausted",
    "Unavailable": "unavailable",
}
_STATUS_CODES = "retriable-status-codes"
_PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
_OMIT_METADATA = "envoy.retry_host_predicates.omit_host_metadata"
_PREVIOUS_PRIORITIES = "envoy.retry_priorities.previous_priorities"


class MeshRetry(policy.Policy):
    """Retries of requests and connections to destinations, by `to`."""

    kind = model.KIND
    order = ORDER

    def outbound(self, conf: policy.Conf, node: nodes.OutboundNode, context: policy.Context) -> None:
        """How often a connection is tried."""
        tcp = conf.conf.tcp if conf is not None else None
        is_tcp = node.facts.destination.protocol is nodes.Protocol.TCP
        if tcp is not None and tcp.max_connect_attempt and is_tcp and node.chain.tcp is not None:
            node.chain.tcp.max_connect_attempts.value = tcp.max_connect_attempt

    def route(
        self, conf: policy.Conf, node: nodes.RouteNode, outbound: nodes.OutboundFacts, context: policy.Context
    ) -> None:
        """Which requests are tried again."""
        if conf is None or not node.message.HasField("route"):
            return
        made = None
        if outbound.destination.protocol is nodes.Protocol.HTTP and conf.conf.http is not None:
            made = _of_http(conf.conf.http)
        elif outbound.destination.protocol is nodes.Protocol.GRPC and conf.conf.grpc is not None:
            made = _of_grpc(conf.conf.grpc)
        if made is not None:
            node.message.route.retry_policy.CopyFrom(made)


POLICY = MeshRetry()


def _of_http(conf: model.Http) -> api.Message | None:
    if conf.num_retries == 0:
        return None
    out = api.RetryPolicy(retry_on=_HTTP_DEFAULT)
    _set_common(out, conf)
    if conf.retry_on:
        _set_conditions(out, conf.retry_on)
    for each in conf.retriable_request_headers or ():
        out.retriable_request_headers.append(http.header_matcher(each.type, each.name, each.value))
    for each in conf.retriable_response_headers or ():
        out.retriable_headers.append(http.header_matcher(each.type, each.name, each.value))
    for predicate in conf.host_selection or ():
        _add_predicate(out, predicate)
    if conf.host_selection_max_attempts is not None:
        out.host_selection_retry_max_attempts = conf.host_selection_max_attempts
    return out


def _of_grpc(conf: model.Grpc) -> api.Message | None:
    if conf.num_retries == 0:
        return None
    out = api.RetryPolicy(retry_on=_GRPC_DEFAULT)
    _set_common(out, conf)
    if conf.retry_on:
        out.retry_on = ",".join(_GRPC_CONDITIONS[each] for each in conf.retry_on)
    return out


def _set_common(out: api.Message, conf: model.Http | model.Grpc) -> None:
    """What both protocols share."""
    if conf.num_retries is not None:
        out.num_retries.value = conf.num_retries
    if conf.per_try_timeout is not None:
        out.per_try_timeout.CopyFrom(api.nanoseconds(max(conf.per_try_timeout.nanoseconds, 0)))
    if conf.back_off is not None:
        _set_pauses(out.retry_back_off, conf.back_off)
    limited = conf.rate_limited_back_off
    if limited is None or not limited.reset_headers:
        return
    if limited.max_interval is not None:
        out.rate_limited_retry_back_off.max_interval.CopyFrom(api.nanoseconds(limited.max_interval.nanoseconds))
    for each in limited.reset_headers:
        kind = "UNIX_TIMESTAMP" if each.format == "UnixTimestamp" else "SECONDS"
        header = out.rate_limited_retry_back_off.reset_headers.add(name=each.name)
        header.format = api.RetryPolicy.ResetHeaderFormat.Value(kind)


def _set_pauses(out: api.Message, pauses: model.BackOff) -> None:
    base = BASE_INTERVAL
    if pauses.base_interval is not None:
        base = max(pauses.base_interval.nanoseconds, SHORTEST_INTERVAL)
    out.base_interval.CopyFrom(api.nanoseconds(base))
    if pauses.max_interval is not None:
        out.max_interval.CopyFrom(api.nanoseconds(max(pauses.max_interval.nanoseconds, base)))


def _set_conditions(out: api.Message, conditions: Sequence[str]) -> None:
    """Conditions by name or status; among them stand the methods that may be tried again at all.

    Names take the place of what is there; statuses and methods alone leave it.
    """
    found = []
    for each in conditions:
        if each in validate.METHODS:
            method = each.removeprefix("HttpMethod").upper()
            out.retriable_request_headers.append(http.header_matcher("Exact", ":method", method))
        elif each in _HTTP_CONDITIONS:
            found.append(_HTTP_CONDITIONS[each])
        else:
            out.retriable_status_codes.append(int(each))
    if found:
        out.retry_on = ",".join(found)
    if out.retriable_status_codes:
        out.retry_on += f",{_STATUS_CODES}"


def _add_predicate(out: api.Message, predicate: model.HostPredicate) -> None:
    if predicate.predicate == "OmitPreviousPriorities":
        message = api.PreviousPriorities(update_frequency=predicate.update_frequency)
        out.retry_priority.name = _PREVIOUS_PRIORITIES
        out.retry_priority.typed_config.CopyFrom(api.pack(message))
        return
    made: tuple[str, Any] = (_PREVIOUS_HOSTS, api.PreviousHosts())
    if predicate.predicate == "OmitHostsWithTags":
        omitted = api.OmitHostMetadata()
        omitted.metadata_match.filter_metadata["envoy.lb"].update(predicate.tags or {})
        made = (_OMIT_METADATA, omitted)
    out.retry_host_predicate.add(name=made[0]).typed_config.CopyFrom(api.pack(made[1]))
