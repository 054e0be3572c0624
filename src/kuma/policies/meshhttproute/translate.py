"""MeshHTTPRoute as the routes of an outbound that speaks HTTP.

Rules become routes in the order of how specific their matches are, and what no rule is about goes to the destination.
A rule none of whose backends can take its requests is left out. Source: Kuma's documentation, "MeshHTTPRoute"; the
order is that of the Gateway API; where a value goes, Envoy's route API.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from kuma.base import kri
from kuma.envoy import api, http, percents
from kuma.plan import nodes
from kuma.policies.meshhttproute import model
from kuma.policy_engine import routing
from kuma.policy_engine.merging import matches_hash, rules
from kuma.policy_engine.writing import backends, bounds, headers
from kuma.resources import resource as res

ORDER = 100
EVERYTHING = model.PathMatch(value="/", type="PathPrefix")
"""What a match is about that says nothing of the path."""

_PATHS = ("Exact", "PathPrefix", "RegularExpression")
"""Types of path matches, the most specific first."""

_REDIRECTS = {
    301: "MOVED_PERMANENTLY",
    302: "FOUND",
    303: "SEE_OTHER",
    307: "TEMPORARY_REDIRECT",
    308: "PERMANENT_REDIRECT",
}
_DEFAULT_REDIRECT = 302


class MeshHTTPRoute(routing.Router):
    """Routes of requests to a destination, by `to`."""

    kind = model.KIND
    order = ORDER

    def speaks_for(self, outbound: nodes.OutboundFacts) -> bool:
        """Outbounds that speak HTTP."""
        return outbound.destination.protocol.is_http

    def mentions(self, merged: rules.Merged[Any]) -> tuple[routing.Mention, ...]:
        """The backends of each rule, then those that get copies."""
        return tuple(
            routing.mention(ref, merged.by_matches[matches_hash.matches_hash(rule.matches)])
            for rule in merged.conf.rules or ()
            for ref in (*(rule.default.backend_refs or ()), *_mirrored(rule.default))
        )

    def routes(self, merged: rules.Merged[Any], outbound: nodes.OutboundFacts, found: routing.Found) -> routing.Routes:
        """Each rule's routes, one or two for each match, and the one for everything else."""
        clusters = iter(found)
        ways: list[tuple[model.Match, _Way]] = []
        is_complete = False
        for rule in merged.conf.rules or ():
            way = _way(rule, merged, outbound, clusters)
            is_complete = is_complete or any(_is_everything(match) for match in rule.matches)
            if way.splits:
                ways += [(match, way) for match in rule.matches]
        ways.sort(key=lambda each: _precedence(each[0]))
        out: list[nodes.RouteFacts] = []
        for match, way in ways:
            for form in _forms(match):
                out.append(way.route(form, match.path or EVERYTHING, source=(merged, len(out))))
        return (*out, *(() if is_complete else routing.default_routes(outbound)))


POLICY = MeshHTTPRoute()


@dataclass(frozen=True, slots=True)
class _Way:
    """A rule with the clusters that it leads to. `mirrors` has one, or None, for each of its mirror filters."""

    conf: model.RuleConf
    name: str
    matches: str
    rule: kri.Kri | None
    author: res.ResourceRef
    splits: tuple[nodes.Split, ...]
    mirrors: routing.Found

    def route(
        self, form: api.Message, path: model.PathMatch, source: tuple[rules.Merged[Any], int]
    ) -> nodes.RouteFacts:
        """The route for one form of a match; `path` is the match on the path that the form comes from."""
        message = api.Route(name=self.name, match=form)
        routing.set_clusters(message.route, self.splits)
        mirrors = iter(self.mirrors)
        for each in self.conf.filters or ():
            if each.request_header_modifier is not None:
                _modify(message.request_headers_to_add, message.request_headers_to_remove, each.request_header_modifier)
            elif each.response_header_modifier is not None:
                _modify(
                    message.response_headers_to_add, message.response_headers_to_remove, each.response_header_modifier
                )
            elif each.request_redirect is not None:
                _redirect(message, each.request_redirect, path)
            elif each.request_mirror is not None:
                _mirror(message, each.request_mirror, next(mirrors))
            elif each.url_rewrite is not None:
                _rewrite(message, each.url_rewrite, path)
        reached = tuple(each for each in self.mirrors if each is not None)
        return nodes.RouteFacts(self.splits, self.matches, self.rule, message, reached, source, (self.author,))


def _way(rule: model.Rule, merged: rules.Merged[Any], outbound: nodes.OutboundFacts, clusters: Iterator[Any]) -> _Way:
    """A rule, its clusters taken from `clusters`. Without backends it leads to the destination of the outbound."""
    digest = matches_hash.matches_hash(rule.matches)
    author = merged.by_matches[digest]
    refs = rule.default.backend_refs or ()
    splits = tuple(filter(None, [routing.split_of(ref, _http_only(next(clusters))) for ref in refs]))
    mirrors = tuple(_http_only(next(clusters)) for _ in _mirrored(rule.default))
    name, own = digest, None
    if outbound.destination.target is not None:
        own = kri.parse_kri(author.kri)
        name = str(own.with_section(f"rule_{author.rule}") if outbound.unified else own)
    return _Way(rule.default, name, digest, own, author, splits if refs else (nodes.Split(outbound.default),), mirrors)


def _http_only(cluster: nodes.ClusterFacts | None) -> nodes.ClusterFacts | None:
    """What speaks something else cannot take requests."""
    return cluster if cluster is not None and cluster.protocol.is_http else None


def _mirrored(conf: model.RuleConf) -> list[backends.BackendRef]:
    return [each.request_mirror.backend_ref for each in conf.filters or () if each.request_mirror is not None]


def _is_everything(match: model.Match) -> bool:
    return match.path == EVERYTHING and not (match.method or match.headers or match.query_params)


def _precedence(match: model.Match) -> tuple[int, ...]:
    """Sorts the most specific match first; the length of an exact path does not count."""
    kind, length = len(_PATHS), 0
    if match.path is not None:
        kind = _PATHS.index(match.path.type)
        length = len(match.path.value.encode()) if kind else 0
    return kind, -length, not match.method, -len(match.headers or ()), -len(match.query_params or ())


def _forms(match: model.Match) -> Iterator[api.Message]:
    """The Envoy matches that a match means: a prefix that ends where a part of the path ends takes two."""
    for path in _paths(match.path or EVERYTHING):
        if match.method:
            path.headers.append(http.header_matcher("Exact", ":method", match.method))
        for header in match.headers or ():
            path.headers.append(http.header_matcher(header.type, header.name, header.value))
        for parameter in match.query_params or ():
            text = path.query_parameters.add(name=parameter.name).string_match
            if parameter.type == "Exact":
                text.exact = parameter.value
            else:
                text.safe_regex.regex = parameter.value
        yield path


def _paths(path: model.PathMatch) -> Iterator[api.Message]:
    if path.type == "RegularExpression":
        out = api.RouteMatch()
        out.safe_regex.regex = path.value
        yield out
    elif path.type == "Exact":
        yield api.RouteMatch(path=path.value)
    elif path == EVERYTHING:
        yield api.RouteMatch(prefix="/")
    else:
        yield api.RouteMatch(path=path.value)
        yield api.RouteMatch(prefix=f"{path.value}/")


def _modify(added: Any, removed: Any, conf: headers.HeaderModifier) -> None:
    """Changes to headers, for Envoy's list of additions and that of removals."""
    for each in conf.set or ():
        added.add(append_action=api.OVERWRITE).header.CopyFrom(api.HeaderValue(key=each.name, value=each.value))
    for each in conf.add or ():
        added.add().header.CopyFrom(api.HeaderValue(key=each.name, value=each.value))
    removed.extend(conf.remove or ())


def _redirect(message: api.Message, conf: model.RequestRedirect, path: model.PathMatch) -> None:
    """Answers with another place instead of sending the request on."""
    out = api.RedirectAction(host_redirect=conf.hostname or "", port_redirect=conf.port or 0)
    if conf.scheme:
        out.scheme_redirect = conf.scheme
    if conf.path is not None:
        _set_path(out, conf.path, message.match, path)
    out.response_code = api.RedirectAction.RedirectResponseCode.Value(_REDIRECTS[conf.status_code or _DEFAULT_REDIRECT])
    message.redirect.CopyFrom(out)


def _rewrite(message: api.Message, conf: model.UrlRewrite, path: model.PathMatch) -> None:
    if message.HasField("redirect"):
        return  # nothing is sent on
    if conf.hostname is not None:
        message.route.host_rewrite_literal = conf.hostname
    if conf.path is not None:
        _set_path(message.route, conf.path, message.match, path)


def _set_path(action: api.Message, conf: model.PathRewrite, match: api.Message, path: model.PathMatch) -> None:
    """Another path for a route or redirect. A prefix is replaced part by part: `/v2/a` is `/new/a` for `/new`."""
    if conf.type == "ReplaceFullPath":
        _set_whole_path(action, conf.replace_full_path or "/")
    elif path.type == "PathPrefix":
        replacement = conf.replace_prefix_match or "/"
        if match.path:
            _set_whole_path(action, replacement)
        else:
            action.prefix_rewrite = replacement if replacement.endswith("/") else f"{replacement}/"


def _set_whole_path(action: api.Message, path: str) -> None:
    action.regex_rewrite.pattern.regex = ".*"
    action.regex_rewrite.substitution = path.replace("\\", r"\\")


def _mirror(message: api.Message, conf: model.RequestMirror, cluster: nodes.ClusterFacts | None) -> None:
    if cluster is None or message.HasField("redirect"):
        return
    out = message.route.request_mirror_policies.add(cluster=cluster.name)
    if conf.percentage is not None:
        share = min(max(bounds.decimal_of(conf.percentage) or Decimal(), Decimal()), Decimal(100))
        out.runtime_fraction.default_value.CopyFrom(percents.fractional(share))
