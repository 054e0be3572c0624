"""Where an outbound sends its requests: the rules of routing policies, or everything to its destination.

Source: Kuma's documentation, "MeshHTTPRoute" and "MeshTCPRoute": without any rule there is a route that takes all.
"""

from kuma.compiler import destinations, matched
from kuma.envoy import api, http
from kuma.plan import nodes

Routes = tuple[nodes.RouteFacts, ...]

LARGEST_TABLE = 4096
"""Default routes that are kept: those of outbounds that are gone must not stay for ever."""


class Routing:
    """Routes of outbounds. Default ones are kept, because every shape asks for all of its own again."""

    def __init__(self) -> None:
        self._defaults: dict[nodes.OutboundFacts, Routes] = {}

    def routes(self, outbound: nodes.OutboundFacts, said: matched.Matched, clients: destinations.Clients) -> Routes:
        """The routes of an outbound in the order of their trial."""
        found = self._defaults.get(outbound)
        if found is None:
            if len(self._defaults) >= LARGEST_TABLE:
                del self._defaults[next(iter(self._defaults))]  # the oldest
            found = self._defaults[outbound] = default_routes(outbound)
        return found


def default_routes(outbound: nodes.OutboundFacts) -> Routes:
    """The one route that an outbound has without any rule."""
    split = (nodes.Split(outbound.destination),)
    if not outbound.destination.protocol.is_http:
        return (nodes.RouteFacts(split),)
    message = api.Route(name=http.CATCH_ALL_ROUTE)
    message.match.prefix = "/"
    message.route.cluster = outbound.destination.name
    message.route.timeout.CopyFrom(api.seconds(0))
    return (nodes.RouteFacts(split, matches=http.CATCH_ALL_ROUTE, message=message),)
