"""MeshTLS as the filter chains of inbounds, and as the versions and ciphers of TLS contexts on both sides.

The mode is asked before an inbound is built. Versions and ciphers are those of the whole mesh, so that clients take
them from the policies about themselves. A server with a certificate of the mesh's CA takes its ciphers only where a version is
given, too (Kuma's way: its clients offer no others). Envoy's clients do not go beyond TLS 1.2 by themselves, so that one who may speak nothing
older than TLS 1.3 is told to. Source: Kuma's documentation, "MeshTLS"; Envoy's API, "TlsParameters".
"""

from collections.abc import Hashable
from dataclasses import dataclass

from kuma.envoy import api, tls
from kuma.plan import nodes, proxy
from kuma.policies.meshtls import model
from kuma.policy_engine import policy
from kuma.policy_engine.merging import merge, rules
from kuma.resources import resource as res

ORDER = 300
_NEWEST = "TLS13"


@dataclass(frozen=True, slots=True)
class Offer:
    """What clients offer, and the policies that say so."""

    conf: model.Conf
    authors: tuple[res.ResourceRef, ...]


class MeshTLS(policy.Policy):
    """Modes, versions and ciphers, by `rules` and `from`."""

    kind = model.KIND
    order = ORDER

    def takes_plaintext(self, found: rules.InboundRules, otherwise: bool) -> bool:
        """The mode of an inbound."""
        mode = found.base.conf.mode if found.base is not None else None
        return otherwise if mode is None else mode == "Permissive"

    def inbound(self, found: rules.InboundRules, node: nodes.InboundNode, context: policy.Context) -> None:
        """The versions and ciphers that a server accepts."""
        secured = [chain.tls for chain in node.listener.chains if chain.tls is not None]
        if found.base is None or not secured:
            return
        conf: model.Conf = found.base.conf
        if conf.tls_version is not None or (context.identified and conf.tls_ciphers):
            for each in secured:
                _restrict(each, conf, _highest(conf))
        nodes.add_authors(node.listener, found.origins)

    def personal(self, found: rules.ProxyRules, subject: proxy.ProxyFacts) -> Hashable:
        """What a proxy offers as a client; a proxy without inbounds has it from the same policies."""
        spoken = [
            (entry.default, policy)
            for policy in found.policies
            for entry in policy.spec.rules or policy.spec.from_ or ()
            if entry.default.tls_version is not None or entry.default.tls_ciphers
        ]
        if not spoken:
            return None
        merged = merge.merge_confs([conf for conf, _ in spoken])[0]
        offered = model.Conf(tls_version=merged.tls_version, tls_ciphers=merged.tls_ciphers)
        return Offer(offered, tuple(dict.fromkeys(res.ref_to(policy) for _, policy in spoken)))

    def cluster(self, conf: policy.Conf, node: nodes.DestinationNode, context: policy.Context) -> None:
        """The versions and ciphers that a client offers."""
        if isinstance(context.own, Offer) and node.cluster.tls is not None:
            version, highest = context.own.conf.tls_version, _highest(context.own.conf)
            if version is not None and version.min == _NEWEST:
                highest = _NEWEST
            _restrict(node.cluster.tls, context.own.conf, highest)
            nodes.add_authors(node.cluster, context.own.authors)


POLICY = MeshTLS()


def _highest(conf: model.Conf) -> str:
    return conf.tls_version.max if conf.tls_version is not None else ""


def _restrict(context: api.Message, conf: model.Conf, highest: str) -> None:
    lowest = conf.tls_version.min if conf.tls_version is not None else ""
    tls.restrict(context, lowest=lowest, highest=highest, ciphers=conf.tls_ciphers or ())
