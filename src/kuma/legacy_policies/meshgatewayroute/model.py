"""What a user writes in a MeshGatewayRoute. Light: the command line imports it."""

import msgspec

from kuma.legacy_policies.meshgatewayroute import validate
from kuma.policy_engine.writing import http_methods
from kuma.resources import kind as kinds
from kuma.resources import selectors, values


class PathMatchType(values.ProtoEnum):
    """How a path is compared."""

    __proto_name__ = "kuma.mesh.v1alpha1.MeshGatewayRoute.HttpRoute.Match.Path.MatchType"
    EXACT = "EXACT"
    PREFIX = "PREFIX"
    REGEX = "REGEX"


class HeaderMatchType(values.ProtoEnum):
    """How a header is compared."""

    __proto_name__ = "kuma.mesh.v1alpha1.MeshGatewayRoute.HttpRoute.Match.Header.MatchType"
    EXACT = "EXACT"
    REGEX = "REGEX"
    ABSENT = "ABSENT"
    PRESENT = "PRESENT"


class QueryMatchType(values.ProtoEnum):
    """How a query parameter is compared."""

    __proto_name__ = "kuma.mesh.v1alpha1.MeshGatewayRoute.HttpRoute.Match.Query.MatchType"
    EXACT = "EXACT"
    REGEX = "REGEX"


class Backend(kinds.Spec, frozen=True):
    """A share of the traffic: `weight` of the sum of all weights goes to endpoints with the tags of `destination`."""

    weight: values.UInt32 = 0
    destination: dict[str, str] = msgspec.field(default_factory=dict)


class TcpRule(kinds.Spec, frozen=True):
    """Where connections go."""

    backends: tuple[Backend, ...] = ()


class TcpRoute(kinds.Spec, frozen=True):
    """Routes of TCP and TLS listeners."""

    rules: tuple[TcpRule, ...] = ()


class PathMatch(kinds.Spec, frozen=True):
    """A path to compare with; absolute unless it is a regular expression."""

    match: PathMatchType = PathMatchType.EXACT
    value: str = ""


class HeaderMatch(kinds.Spec, frozen=True):
    """A header to compare with; `value` is left out where only its presence counts."""

    match: HeaderMatchType = HeaderMatchType.EXACT
    name: str = ""
    value: str = ""


class QueryMatch(kinds.Spec, frozen=True):
    """A query parameter to compare with."""

    match: QueryMatchType = QueryMatchType.EXACT
    name: str = ""
    value: str = ""


class Match(kinds.Spec, frozen=True):
    """Requests that fit everything written here."""

    path: PathMatch | None = None
    method: http_methods.HttpMethod = http_methods.HttpMethod.NONE
    headers: tuple[HeaderMatch, ...] = ()
    query_parameters: tuple[QueryMatch, ...] = ()


class Header(kinds.Spec, frozen=True):
    """A header and its value."""

    name: str = ""
    value: str = ""


class HeaderFilter(kinds.Spec, frozen=True):
    """Headers that replace those of the same name, that come on top, and names to remove."""

    set: tuple[Header, ...] = ()
    add: tuple[Header, ...] = ()
    remove: tuple[str, ...] = ()


class Mirror(kinds.Spec, frozen=True):
    """Sends a copy of `percentage` of the requests to `backend`; nobody waits for its answers."""

    backend: Backend | None = None
    percentage: float | None = None


class Rewrite(kinds.Spec, frozen=True):
    """A new path, whole or instead of the prefix that was matched; and the backend's name as Host."""

    replace_full: str | None = None
    replace_prefix_match: str | None = None
    host_to_backend_hostname: bool = False


class Redirect(kinds.Spec, frozen=True):
    """The answer is another place to ask; what is empty stays as it was asked."""

    scheme: str = ""
    hostname: str = ""
    port: values.UInt32 = 0
    status_code: values.UInt32 = 0
    path: Rewrite | None = None


class Filter(kinds.Spec, frozen=True):
    """One of the things that happen to a request on its way, or to its answer."""

    request_header: HeaderFilter | None = None
    mirror: Mirror | None = None
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    response_header: HeaderFilter | None = None


class HttpRule(kinds.Spec, frozen=True):
    """Requests that fit one of `matches` pass the filters and go to the backends."""

    matches: tuple[Match, ...] = ()
    filters: tuple[Filter, ...] = ()
    backends: tuple[Backend, ...] = ()


class HttpRoute(kinds.Spec, frozen=True):
    """Routes of HTTP and HTTPS listeners, for `hostnames`; none: all that the listener answers to."""

    hostnames: tuple[str, ...] = ()
    rules: tuple[HttpRule, ...] = ()


class Conf(kinds.Spec, frozen=True):
    """One of the two sorts of routes."""

    tcp: TcpRoute | None = None
    http: HttpRoute | None = None


class MeshGatewayRoute(selectors.Selected, frozen=True):
    """Routes of the gateway listeners whose tags fit one of `selectors`."""

    conf: Conf | None = None


KIND = kinds.Kind(
    name="MeshGatewayRoute",
    plural="meshgatewayroutes",
    scope=kinds.Scope.MESH,
    spec=MeshGatewayRoute,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL,
    validate=validate.validate,
    policy=kinds.PolicyTraits(target_ref=False),
    argument="meshgatewayroute",
    singular_display="Mesh Gateway Route",
    plural_display="Mesh Gateway Routes",
)
