"""Rules of a MeshGatewayRoute. Some paths are in snake case; users of Kuma know them so. TCP routes have no rules."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.policy_engine.writing import http_methods
from kuma.resources import addresses, selectors
from kuma.resources import resource as res
from kuma.resources.rules import numbers

if TYPE_CHECKING:
    from kuma.legacy_policies.meshgatewayroute import model

_EMPTY = "cannot be empty"
_HOST_NAMES = ("Host", "host", ":authority")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshGatewayRoute."""
    spec: model.MeshGatewayRoute = resource.spec
    yield from selectors.check_selectors("selectors", [each.match for each in spec.selectors], service=True)
    conf = spec.conf
    if conf is None or (conf.tcp is None and conf.http is None):
        yield Violation("conf", _EMPTY)
        return
    if conf.http is None:
        return
    if not conf.http.rules:
        yield Violation("conf.http.rules", _EMPTY)
    for index, rule in enumerate(conf.http.rules):
        yield from _check_rule(f"conf.http.rules[{index}]", rule)


def _check_rule(path: str, rule: "model.HttpRule") -> Iterator[Violation]:
    """A redirect stands alone: nothing else happens to the request, and no backend sees it."""
    if not rule.matches:
        yield Violation(f"{path}.matches", _EMPTY)
    for index, match in enumerate(rule.matches):
        yield from _check_match(f"{path}.matches[{index}]", match)
    redirects = any(each.redirect is not None for each in rule.filters)
    if redirects and len(rule.filters) > 1:
        yield Violation(f"{path}.filters", "redirects cannot be used with other filters")
        return
    yield from _check_filters(f"{path}.filters", rule)
    if redirects:
        if rule.backends:
            yield Violation(f"{path}.backends", "must be empty when using redirect filters")
    elif not rule.backends:
        yield Violation(f"{path}.backends", _EMPTY)
    for index, backend in enumerate(rule.backends):
        yield from _check_backend(f"{path}.backends[{index}]", backend)


def _check_backend(path: str, backend: "model.Backend") -> Iterator[Violation]:
    yield from selectors.check_selector(f"{path}.destination", backend.destination, at_least_one=True, service=True)


def _check_match(path: str, match: "model.Match") -> Iterator[Violation]:
    """The path of a match reports at `value`, without `path`."""
    has_method = match.method != http_methods.HttpMethod.NONE
    if match.path is None and not has_method and not match.headers and not match.query_parameters:
        yield Violation(path, _EMPTY)
    if match.path is not None:
        if match.path.match == "REGEX":
            if not match.path.value:
                yield Violation(f"{path}.value", _EMPTY)
        elif not match.path.value.startswith("/"):
            yield Violation(f"{path}.value", "must be an absolute path")
    for index, header in enumerate(match.headers):
        place = f"{path}.headers[{index}]"
        if not header.name:
            yield Violation(f"{place}.name", _EMPTY)
        if header.match in ("ABSENT", "PRESENT"):
            if header.value:
                yield Violation(f"{place}.value", "cannot be set")
        elif not header.value:
            yield Violation(f"{place}.value", _EMPTY)
    for index, query in enumerate(match.query_parameters):
        for name, text in (("name", query.name), ("value", query.value)):
            if not text:
                yield Violation(f"{path}.query_parameters[{index}].{name}", _EMPTY)


def _check_filters(path: str, rule: "model.HttpRule") -> Iterator[Violation]:
    """Rewrites of the Host header are taken out before the filters are counted."""
    kept = [each for each in rule.filters if each.rewrite is None or not each.rewrite.host_to_backend_hostname]
    rewrites_host = len(kept) < len(rule.filters)
    has_prefix = any(match.path is not None and match.path.match == "PREFIX" for match in rule.matches)
    for index, each in enumerate(kept):
        place = f"{path}[{index}]"
        if each.request_header is not None:
            yield from _check_request_header(f"{place}.request_header", each.request_header, rewrites_host)
        if each.redirect is not None:
            yield from _check_redirect(f"{place}.redirect", each.redirect)
        if each.mirror is not None:
            yield from _check_mirror(f"{place}.mirror", each.mirror)
        if each.rewrite is not None and each.rewrite.replace_prefix_match is not None and not has_prefix:
            reason = "cannot be used without a match on path prefix"
            yield Violation(f"{place}.rewrite.replacePrefixMatch", reason)


def _check_request_header(path: str, changes: "model.HeaderFilter", rewrites_host: bool) -> Iterator[Violation]:
    if not changes.set and not changes.add and not changes.remove:
        yield Violation(path, _EMPTY)
    for index, header in enumerate(changes.set):
        if rewrites_host and header.name in _HOST_NAMES:
            quoted = gotext.quote(header.name).replace('"', "'")
            reason = f"cannot modify {quoted} header, when route has set 'rewrite.host_to_backend_hostname' option"
            yield Violation(f"{path}.set[{index}]", reason)
    lists: tuple[tuple[str, Sequence[model.Header]], ...] = (("set", changes.set), ("add", changes.add))
    for list_name, headers in lists:
        for index, header in enumerate(headers):
            for name, text in (("name", header.name), ("value", header.value)):
                if not text:
                    yield Violation(f"{path}.{list_name}[{index}].{name}", _EMPTY)
    for index, removed in enumerate(changes.remove):
        if not removed:
            yield Violation(f"{path}.remove[{index}]", _EMPTY)


def _check_redirect(path: str, redirect: "model.Redirect") -> Iterator[Violation]:
    if redirect.port:
        yield from addresses.check_port(f"{path}.port", redirect.port)
    if not 300 <= redirect.status_code <= 308:
        yield Violation(f"{path}.status_code", "must be in the range [300, 308]")


def _check_mirror(path: str, mirror: "model.Mirror") -> Iterator[Violation]:
    if mirror.percentage is None:
        yield Violation(f"{path}.percentage", _EMPTY)
    yield from numbers.check_percentage(f"{path}.percentage", mirror.percentage)
    if mirror.backend is None:
        yield Violation(f"{path}.backend", _EMPTY)
    else:
        yield from _check_backend(f"{path}.backend", mirror.backend)
