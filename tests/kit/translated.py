"""What one policy kind makes of the skeletons of a plan: its hooks called as the compiler calls them."""

from typing import Any

from google.protobuf import json_format

from kuma.compiler import destinations, inbounds, outbounds, render
from kuma.envoy import clusters, http
from kuma.plan import nodes, proxy
from kuma.policy_engine import policy, routing
from kuma.policy_engine.matching import matcher, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from tests.kit import worlds

PORT = 8080


def inbound(
    speaker: policy.Policy, *policies: res.Resource[Any], protocol: str = "http", mtls: bool = True
) -> nodes.InboundNode:
    """The inbound of a proxy of service `web` that the policies are about."""
    picture = worlds.world(
        [
            worlds.a_mesh(**({"mtls": worlds.BUILTIN} if mtls else {})),
            worlds.a_dataplane("d", "web", protocol=protocol, port=PORT),
        ]
    ).meshes["m"]
    subject = proxy.facts_of(picture.dataplanes["d"], {})
    facts = next(iter(inbounds.facts(subject)))
    found = _match(speaker, policies, subject).inbound(facts.address, facts.port)
    node = inbounds.node(picture, subject, facts, plaintext=speaker.takes_plaintext(found, False))
    speaker.inbound(found, node, policy.Context("m", mtls=mtls))
    return node


class Client:
    """A proxy of service `web`, its outbound to service `api` of a protocol, and what policies make of that."""

    def __init__(self, speaker: policy.Policy, *policies: res.Resource[Any], protocol: str = "http") -> None:
        web = worlds.a_dataplane("web", "web", outbounds={"api": 10001})
        api = worlds.a_dataplane("api", "api", protocol=protocol, address="192.168.0.2")
        self._picture = worlds.world([worlds.a_mesh(), web, api]).meshes["m"]
        subject = proxy.facts_of(self._picture.dataplanes["web"], {})
        self._speaker = speaker
        self._said = _match(speaker, policies, subject)
        (self._facts,) = outbounds.facts(subject, destinations.Clients(self._picture, unified=False))
        own = speaker.personal(self._said, subject) if policies else None
        self._context = policy.Context("m", mtls=False, own=own)

    def cluster(self) -> dict[str, Any]:
        """The cluster of `api`, as JSON."""
        facts = self._facts.destination
        made = nodes.ClusterNode(
            facts.name, clusters.cluster(facts.name, "EDS"), http=http.upstream_options(http2=True)
        )
        self._speaker.cluster(self._conf(), nodes.DestinationNode(facts, made), self._context)
        return json_format.MessageToDict(render.cluster(made))

    def chain(self) -> nodes.ChainNode:
        """The filter chain of the outbound."""
        node = outbounds.node(self._picture, self._facts, routing.default_routes(self._facts))
        self._speaker.outbound(self._conf(), node, self._context)
        return node.chain

    def route(self) -> dict[str, Any]:
        """Where and how the only route of the outbound sends its requests, as JSON."""
        (facts,) = routing.default_routes(self._facts)
        (node,) = outbounds.node(self._picture, self._facts, (facts,)).routes
        conf = self._speaker.conf_for_route(self._said, self._facts.destination, facts.matches, facts.rule)
        self._speaker.route(conf, node, self._facts, self._context)
        return json_format.MessageToDict(node.message.route)

    def _conf(self) -> policy.Conf:
        return self._speaker.conf_for(self._said, self._facts.destination)


def _match(
    speaker: policy.Policy, policies: tuple[res.Resource[Any], ...], subject: proxy.ProxyFacts
) -> rules.ProxyRules:
    return speaker.match(matcher.Matcher(), policies, subject, surroundings.Surroundings())


def options(cluster: dict[str, Any]) -> dict[str, Any]:
    """The common HTTP options of a cluster in JSON."""
    (found,) = cluster["typedExtensionProtocolOptions"].values()
    return dict(found.get("commonHttpProtocolOptions", {}))
