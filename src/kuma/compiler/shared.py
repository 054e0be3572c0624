"""Nodes that proxies share: listeners, clusters and endpoints of outbounds, edited by policies and rendered once.

A node is kept under everything that decides about it: its facts, the confs that apply to it, and the context of the
policies. So it does not matter which proxy asked first, and a conf that changes rebuilds the nodes it applies to.
"""

import weakref
from collections.abc import Hashable, Sequence

from kuma.compiler import external, hearing, outbounds, render
from kuma.compiler import matched as matching
from kuma.discovery import resources as xds
from kuma.envoy import api
from kuma.mesh import endpoints, view
from kuma.plan import nodes
from kuma.resources import resource as res

Authors = tuple[res.ResourceRef, ...]


class Built:
    """A rendered node and who shaped it. Weakly cached: it lives while some shape holds it.

    `rendered` is None where a patch removed it. `problems`: what policies ask for and could not be done.
    """

    __slots__ = ("__weakref__", "authors", "problems", "rendered")

    def __init__(self, rendered: xds.Rendered | None, authors: Authors, problems: tuple[str, ...] = ()) -> None:
        self.rendered = rendered
        self.authors = authors
        self.problems = problems


class SharedNodes:
    """Builds what is not there yet. `built` counts the nodes made so far."""

    def __init__(self) -> None:
        self._nodes: weakref.WeakValueDictionary[Hashable, Built] = weakref.WeakValueDictionary()
        self.built = 0

    def listener(
        self,
        picture: view.MeshView,
        outbound: nodes.OutboundFacts,
        routes: Sequence[nodes.RouteFacts],
        heard: hearing.Hearing,
    ) -> Built:
        """The listener of an outbound with its routes."""
        destination = outbound.destination
        said_of_routes = tuple([heard.key_of_route(destination, each) for each in routes])
        said_of_all = heard.key(destination, "outbound", "route", "patch")
        key = ("listener", outbound, heard.said.context, said_of_all, said_of_routes, tuple(routes))
        found = self._nodes.get(key)
        if found is not None:
            return found
        said = heard.spoken(destination, "outbound", "route", "patch")
        of_routes = tuple(heard.spoken_of_route(destination, each) for each in routes)
        node = outbounds.node(picture, outbound, routes)
        by_speaker = [{id(each): conf for each, conf in of_route} for of_route in of_routes]
        for voice, conf in said:
            voice.speaker.outbound(conf, node, voice.context)
            for route, confs in zip(node.routes, by_speaker, strict=False):
                if id(voice) in confs:
                    voice.speaker.route(confs[id(voice)], route, outbound, voice.context)
        nodes.add_authors(node.listener, (who for each in (said, *of_routes) for who in hearing.origins(each)))
        message = render.listener(node.listener, node.routes)
        return self._finish(key, xds.LISTENER, message, node.listener, heard.said)

    def cluster(
        self,
        picture: view.MeshView,
        facts: nodes.ClusterFacts,
        service: endpoints.Service,
        heard: hearing.Hearing,
    ) -> Built:
        """The cluster of a destination with these endpoints."""
        outside = external.outside(picture, facts, service)
        key = ("cluster", facts, heard.said.context, heard.key(facts, "cluster", "patch"), outside)
        found = self._nodes.get(key)
        if found is not None:
            return found
        said = heard.spoken(facts, "cluster", "patch")
        node = outbounds.destination(picture, facts, outside)
        for voice, conf in said:
            voice.speaker.cluster(conf, node, voice.context)
        nodes.add_authors(node.cluster, hearing.origins(said))
        return self._finish(key, xds.CLUSTER, render.cluster(node.cluster), node.cluster, heard.said)

    def assignment(self, facts: nodes.ClusterFacts, service: endpoints.Service, heard: hearing.Hearing) -> Built:
        """The endpoints of a destination."""
        key = ("endpoints", facts.name, service, heard.said.context, heard.key(facts, "endpoints"))
        found = self._nodes.get(key)
        if found is not None:
            return found
        said = heard.spoken(facts, "endpoints")
        node = nodes.EndpointsNode(facts, outbounds.load_assignment(facts.name, service.endpoints))
        for voice, conf in said:
            voice.speaker.endpoints(conf, node, voice.context)
        return self.keep(key, Built(render.rendered(xds.ENDPOINT, node.message), hearing.origins(said)))

    def _finish(
        self,
        key: Hashable,
        type_url: str,
        message: api.Message,
        node: nodes.ListenerNode | nodes.ClusterNode,
        matched: matching.Matched,
    ) -> Built:
        left = matching.patched(matched, type_url, message, node.origin)
        nodes.add_authors(node, left.authors)
        rendered = render.rendered(type_url, left.message) if left.message is not None else None
        return self.keep(key, Built(rendered, tuple(node.authors), left.problems))

    def get(self, key: Hashable) -> Built | None:
        """What is kept under a key."""
        return self._nodes.get(key)

    def keep(self, key: Hashable, built: Built) -> Built:
        """Keeps something under a key."""
        self._nodes[key] = built
        self.built += 1
        return built
