"""What a user writes in a MeshHTTPRoute. Light: the command line imports it."""

from typing import Annotated

import msgspec

from kuma.policies.meshhttproute import validate
from kuma.policy_engine.merging import merge
from kuma.policy_engine.writing import backends
from kuma.policy_engine.writing import headers as http_headers
from kuma.resources import kind as kinds
from kuma.resources import targetref, values

HOSTNAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
Hostname = Annotated[str, values.sized(1, 253), values.matching(HOSTNAME)]
METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")


class PathMatch(kinds.Spec, frozen=True):
    """The path of a request; a prefix ends where a part of the path ends."""

    value: Annotated[str, values.Required, values.sized(least=1)] = ""
    type: Annotated[str, values.Required, values.one_of("Exact", "PathPrefix", "RegularExpression")] = ""


class QueryParamsMatch(kinds.Spec, frozen=True):
    """A parameter of the URL. Its value is printed even where it is empty: whoever reads it back demands it."""

    type: Annotated[str, values.Required, values.one_of("Exact", "RegularExpression")] = ""
    name: Annotated[str, values.Required, values.sized(least=1)] = ""
    value: Annotated[str, values.Required] = msgspec.field(default_factory=str)


class Match(kinds.Spec, frozen=True):
    """Requests that fit every member that is written.

    The order of fields here and below is Kuma's: the JSON of a rule's matches is hashed into the name of its route.
    """

    path: PathMatch | None = None
    method: Annotated[str, values.one_of(*METHODS)] = ""
    query_params: tuple[QueryParamsMatch, ...] | None = None
    headers: tuple[http_headers.HeaderMatch, ...] | None = None


class PathRewrite(kinds.Spec, frozen=True):
    """Another path, or another start of it."""

    type: Annotated[str, values.Required, values.one_of("ReplaceFullPath", "ReplacePrefixMatch")] = ""
    replace_full_path: str | None = None
    replace_prefix_match: str | None = None


class RequestRedirect(kinds.Spec, frozen=True):
    """Sends the client elsewhere; what is not written stays as it was asked for."""

    scheme: Annotated[str, values.one_of("http", "https")] = ""
    hostname: Hostname | None = None
    path: PathRewrite | None = None
    port: Annotated[values.Int32, values.bounded(1, 65535)] | None = None
    status_code: Annotated[int, values.one_of(301, 302, 303, 307, 308), values.defaults_to(302)] | None = None


class UrlRewrite(kinds.Spec, frozen=True):
    """What the backend sees of the URL."""

    hostname: Hostname | None = None
    path: PathRewrite | None = None
    host_to_backend_hostname: bool | None = None


class RequestMirror(kinds.Spec, frozen=True):
    """A copy for another backend, whose answer nobody waits for; of all requests where no share is given."""

    percentage: values.IntOrString | None = None
    backend_ref: Annotated[backends.BackendRef, values.Required] = backends.BackendRef()


class Filter(kinds.Spec, frozen=True):
    """One change on the way; `type` says which member holds it."""

    type: Annotated[str, values.Required, values.one_of(*validate.FILTERS)] = ""
    request_header_modifier: http_headers.HeaderModifier | None = None
    response_header_modifier: http_headers.HeaderModifier | None = None
    request_redirect: RequestRedirect | None = None
    url_rewrite: UrlRewrite | None = None
    request_mirror: RequestMirror | None = None


class RuleConf(kinds.Spec, frozen=True):
    """What becomes of the requests of a rule; without `backend_refs` they go where they were meant to."""

    filters: tuple[Filter, ...] | None = None
    backend_refs: tuple[backends.BackendRef, ...] | None = None


class Rule(kinds.Spec, frozen=True):
    """Requests that fit any of `matches`, and what becomes of them."""

    matches: Annotated[tuple[Match, ...], values.Required, values.sized(least=1)] = ()
    default: Annotated[RuleConf, values.Required] = msgspec.field(default_factory=RuleConf)


class Conf(kinds.Spec, frozen=True):
    """What several routes say of one destination together; gateways keep host names apart."""

    rules: Annotated[tuple[Rule, ...] | None, merge.BY_MATCHES] = None
    hostnames: Annotated[tuple[str, ...] | None, merge.EACH] = None


class To(kinds.Spec, frozen=True):
    """A destination as clients address it, and the rules of requests to it. `hostnames` is for gateways."""

    target_ref: Annotated[targetref.TargetRef, values.Required] = targetref.TargetRef()
    hostnames: tuple[str, ...] | None = None
    rules: Annotated[tuple[Rule, ...] | None, values.Required] = None

    @property
    def default(self) -> Conf:
        """The conf that is merged with those of other policies."""
        return Conf(self.rules, self.hostnames)


class MeshHTTPRoute(kinds.Spec, frozen=True):
    """Routes of the proxies that `target_ref` selects (absent: all of the mesh)."""

    target_ref: targetref.TargetRef | None = None
    to: tuple[To, ...] | None = None


KIND = kinds.Kind(
    name="MeshHTTPRoute",
    plural="meshhttproutes",
    scope=kinds.Scope.MESH,
    spec=MeshHTTPRoute,
    short="mhttpr",
    envelope=kinds.Envelope.SPEC,
    sync=kinds.POLICY_SYNC,
    validate=validate.validate,
    deprecations=validate.deprecations,
    policy=kinds.PolicyTraits(target_ref=True, has_to=True),
    argument="meshhttproute",
    singular_display="Mesh HTTP Route",
    plural_display="Mesh HTTP Routes",
)
