"""MeshFaultInjection as fault filters of inbounds that speak HTTP, one for each fault, in their order.

Clients of `from` are known by the header in which their proxies tell their tags, those of `rules` by their certificate.
Whoever several entries are about is struck by the most specific one alone, so every filter also says whom it leaves
to others. Where there is no certificate no rule about a client holds; Envoy would not skip a filter that it cannot
decide about. Its bounds are narrower than ours: what it would refuse strikes nobody. Source: Kuma's documentation,
"MeshFaultInjection"; Envoy's API, "HTTP fault injection" and "Extension matcher".
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal

from kuma.envoy import api, http, percents
from kuma.plan import nodes
from kuma.policies.meshfaultinjection import model, precedence
from kuma.policy_engine import clients, policy
from kuma.policy_engine.merging import rules
from kuma.policy_engine.writing import bounds
from kuma.resources import values

ORDER = 800

FILTER = "envoy.filters.http.fault"
_WITH_TAGS = (nodes.Protocol.HTTP, nodes.Protocol.HTTP2)
"""Protocols that entries of `from` are about; `rules` are about gRPC, too."""

_LEAST_STATUS = 200
_KBPS = {"k": 1, "M": 1000, "G": 1_000_000}
_BANDWIDTH = re.compile(r"(\d+)\s?([kMG])bps")


class MeshFaultInjection(policy.Policy):
    """Faults of inbounds by `rules` and `from`."""

    kind = model.KIND
    order = ORDER
    at_egress = ("inbound",)

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """The faults that an inbound throws."""
        if not node.facts.protocol.is_http or found.is_empty:
            return
        by_tags = found.clients if node.facts.protocol in _WITH_TAGS else ()
        for chain in node.listener.chains:
            fitting = [each for each in found.rules if each.match is None or chain.tls is not None]
            chain.http_filters += [*_of_clients(by_tags), *_of_rules(fitting, context.mesh)]
        nodes.add_authors(node.listener, found.origins)


POLICY = MeshFaultInjection()


def _of_clients(said: Sequence[rules.SubsetRule]) -> Iterator[nodes.FilterNode]:
    """Filters of `from`."""
    for at, rule in enumerate(said):
        who = precedence.left_to(rule.subset, [each.subset for each in said[:at]])
        if who is None:
            continue
        for fault in _faults(rule.merged.conf):
            fault.headers.extend(_headers(who))
            yield nodes.FilterNode(nodes.Stage.FAULT, FILTER, fault)


def _headers(who: precedence.Clients) -> Iterator[api.Message]:
    """Tests of the header in which a client's proxy tells its tags."""
    asked = {tag.key: tag.value for tag in who.subset if not tag.negated}
    if asked:
        yield http.tags_matcher(asked)
    for tag in who.subset:
        if tag.negated:
            yield http.tags_matcher({tag.key: tag.value}, invert=True)
    for others in who.without:
        yield http.tags_matcher({tag.key: tag.value for tag in others}, invert=True)


def _of_rules(said: Sequence[rules.InboundRule], mesh: str) -> Iterator[nodes.FilterNode]:
    """Filters of `rules`, named after the policy."""
    spoken = precedence.by_match([each for each in said if each.conf.http is not None])
    for at, rule in enumerate(spoken):
        others = [each.match for each in spoken[:at] if each.match is not None]
        skipped = [clients.predicate(each, mesh) for each in others if not precedence.are_apart(each, rule.match)]
        if rule.match is not None:
            outside = api.Predicate()
            outside.not_matcher.CopyFrom(clients.predicate(rule.match, mesh))
            skipped.append(outside)
        for fault in _faults(rule.conf):
            yield nodes.FilterNode(nodes.Stage.FAULT, rule.origin.kri, _skipped_for(fault, skipped))


def _skipped_for(fault: api.Message, predicates: Sequence[api.Message]) -> api.Message:
    """A fault that leaves out connections that pass any of some tests."""
    if not predicates:
        return fault
    out = api.ExtensionWithMatcher()
    out.extension_config.CopyFrom(api.TypedExtensionConfig(name=FILTER, typed_config=api.pack(fault)))
    for predicate in predicates:
        one = out.xds_matcher.matcher_list.matchers.add()
        one.predicate.CopyFrom(predicate)
        skip = api.XdsTypedExtensionConfig(name="skip", typed_config=api.pack(api.SkipFilter()))
        one.on_match.action.CopyFrom(skip)
    return out


def _faults(conf: model.Conf) -> Iterator[api.Message]:
    for each in conf.http or ():
        out = api.Fault()
        if each.abort is not None and each.abort.http_status >= _LEAST_STATUS:
            out.abort.http_status = each.abort.http_status
            out.abort.percentage.CopyFrom(_share(each.abort.percentage))
        if each.delay is not None and each.delay.value.nanoseconds > 0:
            out.delay.fixed_delay.CopyFrom(api.nanoseconds(each.delay.value.nanoseconds))
            out.delay.percentage.CopyFrom(_share(each.delay.percentage))
        if each.response_bandwidth is not None:
            limit = _kbps(each.response_bandwidth.limit)
            if limit > 0:
                out.response_rate_limit.fixed_limit.limit_kbps = limit
                out.response_rate_limit.percentage.CopyFrom(_share(each.response_bandwidth.percentage))
        if out.ListFields():
            yield out


def _share(percentage: values.IntOrString) -> api.Message:
    return percents.fractional(bounds.decimal_of(percentage) or Decimal())


def _kbps(limit: str) -> int:
    """A bandwidth in kilobits per second; 0 for what is none."""
    found = _BANDWIDTH.fullmatch(limit)
    return int(found[1]) * _KBPS[found[2]] if found else 0
