"""Rules of a MeshHTTPRoute."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import backends, entries, headers
from kuma.resources import addresses, meta, targetref
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.policies.meshhttproute import model

FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite", "RequestMirror")
_TO = targetref.Allowed(("MeshService", "MeshExternalService", "MeshMultiZoneService"))
_TO_OF_GATEWAY = targetref.Allowed(("Mesh",))
_MIRRORED = targetref.Allowed(("MeshService", "MeshServiceSubset"))
_TRAILING_SLASH = "does not need a trailing slash because only a `/`-separated prefix or an entire path is matched"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshHTTPRoute."""
    spec: model.MeshHTTPRoute = resource.spec
    yield from entries.check_top(resource, spec.target_ref)
    on_gateway = spec.target_ref is not None and spec.target_ref.kind == "MeshGateway"
    for index, entry in enumerate(spec.to or ()):
        path = f"spec.to[{index}]"
        yield from targetref.check(f"{path}.targetRef", entry.target_ref, _TO_OF_GATEWAY if on_gateway else _TO)
        if entry.hostnames and not on_gateway:
            yield Violation(f"{path}.hostnames", "must not be defined")
        for number, rule in enumerate(entry.rules or ()):
            yield from _check_rule(f"{path}.rules[{number}]", rule, on_gateway)


def _check_rule(path: str, rule: "model.Rule", on_gateway: bool) -> Iterator[Violation]:
    for index, match in enumerate(rule.matches):
        yield from _check_match(f"{path}.matches[{index}]", match)
    has_prefixes = all(match.path is not None and match.path.type == "PathPrefix" for match in rule.matches)
    for index, each in enumerate(rule.default.filters or ()):
        yield from _check_filter(f"{path}.default.filters[{index}]", each, has_prefixes, on_gateway)
    refs = rule.default.backend_refs or ()
    redirects = any(each.type == "RequestRedirect" for each in rule.default.filters or ())
    if on_gateway and not refs and not redirects:
        yield Violation(f"{path}.default.backendRefs", "must not be empty")
    for index, backend in enumerate(refs):
        yield from backends.check(f"{path}.default.backendRefs[{index}]", backend)


def _check_match(path: str, match: "model.Match") -> Iterator[Violation]:
    if match.path is not None:
        yield from _check_path(f"{path}.path.value", match.path)
    known = set()
    for index, parameter in enumerate(match.query_params or ()):
        if parameter.name in known:
            yield Violation(f"{path}.queryParams[{index}].name", f"multiple entries for name {parameter.name}")
        known.add(parameter.name)
    for index, header in enumerate(match.headers or ()):
        yield from headers.check_match(f"{path}.headers[{index}]", header)


def _check_path(path: str, match: "model.PathMatch") -> Iterator[Violation]:
    if match.type == "PathPrefix" and match.value != "/" and match.value.endswith("/"):
        yield Violation(path, _TRAILING_SLASH)
    if match.type in ("Exact", "PathPrefix") and not match.value.startswith("/"):
        yield Violation(path, "must be an absolute path")


def _check_filter(path: str, each: "model.Filter", has_prefixes: bool, on_gateway: bool) -> Iterator[Violation]:
    members = {
        "RequestHeaderModifier": ("requestHeaderModifier", each.request_header_modifier),
        "ResponseHeaderModifier": ("responseHeaderModifier", each.response_header_modifier),
        "RequestRedirect": ("requestRedirect", each.request_redirect),
        "URLRewrite": ("urlRewrite", each.url_rewrite),
        "RequestMirror": ("requestMirror", each.request_mirror),
    }
    name, conf = members.get(each.type, ("", each))
    place = f"{path}.{name}"
    if conf is None:
        yield Violation(place, "must be defined")
    elif isinstance(conf, headers.HeaderModifier):
        yield from headers.check_modifier(place, conf)
    elif each.type == "RequestRedirect" and each.request_redirect is not None:
        yield from _check_rewrite(place, each.request_redirect, has_prefixes)
    elif each.type == "URLRewrite" and each.url_rewrite is not None:
        yield from _check_rewrite(place, each.url_rewrite, has_prefixes)
        yield from _check_backend_hostname(f"{place}.hostToBackendHostname", each.url_rewrite, on_gateway)
    elif each.type == "RequestMirror" and each.request_mirror is not None:
        yield from targetref.check(f"{place}.backendRef", each.request_mirror.backend_ref, _MIRRORED)


def _check_rewrite(
    path: str, conf: "model.RequestRedirect | model.UrlRewrite", has_prefixes: bool
) -> Iterator[Violation]:
    if conf.path is not None and conf.path.replace_prefix_match is not None and not has_prefixes:
        yield Violation(f"{path}.path.replacePrefixMatch", "can only appear if all matches match a path prefix")
    if conf.hostname is not None:
        yield from _check_hostname(f"{path}.hostname", conf.hostname)


def _check_hostname(path: str, hostname: str) -> Iterator[Violation]:
    if addresses.parse_ip(hostname) is not None:
        yield Violation(path, "cannot be an IP address")
        return
    for reason in meta.subdomain_problems(hostname):
        yield Violation(path, reason)


def _check_backend_hostname(path: str, conf: "model.UrlRewrite", on_gateway: bool) -> Iterator[Violation]:
    if not conf.host_to_backend_hostname:
        return
    if not on_gateway:
        yield Violation(path, "can only be set with MeshGateway")
    if conf.hostname is not None:
        yield Violation(path, "cannot be set together with hostname")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshHTTPRoute = resource.spec
    yield from targetref.deprecations(spec.target_ref)
