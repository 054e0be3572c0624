"""A proxy, bare nodes of it, and what a policy about telemetry makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf import json_format

from kuma.base import kri
from kuma.envoy import api
from kuma.plan import nodes, proxy
from kuma.policy_engine import collectors, policy
from kuma.policy_engine.matching import matcher, surroundings
from kuma.resources import resource as res
from tests.kit import worlds

HTTP, TCP = nodes.Protocol.HTTP, nodes.Protocol.TCP
WORKDIR = "/run/kuma"
API = kri.Kri("msvc", "m", "east", "", "api", "80")
PIPE = {"features": ["feature-otel-via-kuma-dp"]}
"""Metadata of an agent that hands telemetry on."""


def a_backend(name: str, labels: Mapping[str, str] | None = None, **spec: Any) -> res.Resource[Any]:
    """A MeshOpenTelemetryBackend."""
    document = {"type": "MeshOpenTelemetryBackend", "name": name, "labels": dict(labels or {}), "spec": spec}
    return worlds.resource(document)


def reference(**labels: str) -> dict[str, Any]:
    """The `openTelemetry` of a backend that points at the MeshOpenTelemetryBackend with these labels."""
    return {"backendRef": {"kind": "MeshOpenTelemetryBackend", "labels": labels}}


def chain(protocol: nodes.Protocol) -> nodes.ChainNode:
    """A filter chain without anything in it."""
    return (
        nodes.ChainNode(http=api.HttpConnectionManager()) if protocol.is_http else nodes.ChainNode(tcp=api.TcpProxy())
    )


class Stage:
    """A proxy, mostly of service `web`, in mesh `m`, zone `east`, with policies of one kind."""

    def __init__(
        self,
        speaker: policy.Policy,
        *policies: res.Resource[Any],
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        backends: Sequence[res.Resource[Any]] = (),
        unified: bool = False,
        name: str = "web-1",
        service: str = "web",
        address: str = "192.168.0.1",
    ) -> None:
        held = {"kuma.io/zone": "east", **(labels or {})}
        dataplane = worlds.a_dataplane(name, service, address=address, labels=held, tags={"version": "v1"})
        self.subject = proxy.facts_of(dataplane, {"workdir": WORKDIR, **(metadata or {})})
        around = surroundings.Surroundings(mesh=worlds.a_mesh())
        self.found = speaker.match(matcher.Matcher(), policies, self.subject, around)
        self.context = policy.Context(
            "m",
            mtls=False,
            zone=self.subject.zone,
            unified=unified,
            collectors=collectors.known(backends),
            own=speaker.personal(self.found, self.subject),
        )
        self._speaker = speaker

    def inbound(self, protocol: nodes.Protocol = HTTP) -> nodes.InboundNode:
        """The inbound of the proxy."""
        facts = nodes.InboundFacts("web", "8080", "192.168.0.1", 8080, "127.0.0.1", 80, protocol, ())
        listener = nodes.ListenerNode("inbound", api.Listener(name="inbound"), [chain(protocol)])
        cluster = nodes.ClusterNode("local", api.Cluster(name="local"))
        node = nodes.InboundNode(facts, listener, cluster)
        self._speaker.inbound(self.found.inbound(facts.address, facts.port), node, self.context)
        return node

    def outbound(self, protocol: nodes.Protocol = HTTP, target: kri.Kri | None = None) -> nodes.OutboundNode:
        """An outbound to `api`, by its tag or by `target`."""
        destination = nodes.ClusterFacts("m", "api", "api", protocol, target=target)
        facts = nodes.OutboundFacts(destination, "127.0.0.1", 10001, unified=False, bind=True, ipv6=True)
        listener = nodes.ListenerNode("outbound", api.Listener(name="outbound"), [chain(protocol)])
        node = nodes.OutboundNode(facts, listener)
        self._speaker.outbound(self._speaker.conf_for(self.found, destination), node, self.context)
        return node

    def plan(self, *listeners: nodes.ListenerNode, inbounds: Sequence[nodes.InboundNode] = ()) -> nodes.ProxyPlan:
        """What is personal to the proxy."""
        made = nodes.ProxyPlan(self.subject, inbounds=list(inbounds), listeners=list(listeners))
        self._speaker.proxy(self.found, made, self.context)
        return made


def as_json(message: api.Message) -> dict[str, Any]:
    """A message as JSON values; what is packed in it is written out."""
    found: dict[str, Any] = json_format.MessageToDict(message)
    return found


def address(cluster: nodes.ClusterNode) -> Any:
    """Where the only endpoint of a cluster is: a path, or host and port."""
    endpoint = cluster.message.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address
    if endpoint.HasField("pipe"):
        return endpoint.pipe.path
    return endpoint.socket_address.address, endpoint.socket_address.port_value
