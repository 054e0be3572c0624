"""Rules of a TrafficRoute."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import connections
from kuma.resources import resource as res
from kuma.resources import selectors

if TYPE_CHECKING:
    from kuma.legacy_policies.trafficroute import model

_EMPTY = "cannot be empty"
_NO_MATCHER = 'cannot be empty. Available options: "exact", "split" or "regex"'
_NO_MATCH = 'must be present and contain at least one of the elements: "method", "path" or "headers"'
_RESERVED = "host header and HTTP/2 pseudo-headers are not allowed to be modified"
_HASH_FUNCTIONS = ("", "XX_HASH", "MURMUR_HASH_2")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a TrafficRoute."""
    spec: model.TrafficRoute = resource.spec
    yield from connections.check_outbound(spec)
    conf = spec.conf
    if conf is None:
        yield Violation("conf", _EMPTY)
        return
    yield from _check_target("conf", conf.split, conf.destination)
    for index, rule in enumerate(conf.http):
        yield from _check_rule(f"conf.http[{index}]", rule)
    if conf.load_balancer is not None:
        yield from _check_balancer("conf.loadBalancer", conf.load_balancer)


def _check_target(path: str, split: "Sequence[model.Split]", destination: Mapping[str, str]) -> Iterator[Violation]:
    """Traffic goes to one destination or is split among several, never both."""
    if not split and not destination:
        yield Violation(path, 'requires either "destination" or "split"')
    elif split and destination:
        yield Violation(path, '"split" cannot be defined at the same time as "destination"')
    if destination:
        yield from _check_destination(f"{path}.destination", destination)
    if not split:
        return
    for index, share in enumerate(split):
        place = f"{path}.split[{index}]"
        if share.weight is None:
            yield Violation(f"{place}.weight", "needs to be defined")
        yield from _check_destination(f"{place}.destination", share.destination)
    if not any(share.weight for share in split):
        yield Violation(f"{path}.split", "there must be at least one split entry with weight above 0")


def _check_destination(path: str, tags: Mapping[str, str]) -> Iterator[Violation]:
    yield from selectors.check_selector(path, tags, at_least_one=True, service=True)


def _check_rule(path: str, rule: "model.Http") -> Iterator[Violation]:
    match = rule.match
    if match is None or (match.method is None and match.path is None and match.headers is None):
        yield Violation(f"{path}.match", _NO_MATCH)
    else:
        yield from _check_match(f"{path}.match", match)
    if rule.modify is not None:
        prefix = match.path.prefix if match is not None and match.path is not None else None
        yield from _check_modify(f"{path}.modify", rule.modify, prefix or "")
    yield from _check_target(path, rule.split, rule.destination)


def _check_match(path: str, match: "model.Match") -> Iterator[Violation]:
    for name, matcher in (("method", match.method), ("path", match.path)):
        if matcher is not None:
            yield from _check_matcher(f"{path}.{name}", matcher)
    if match.headers is None:
        return
    if not match.headers:
        yield Violation(f"{path}.headers", "must contain at least one element")
    for name in sorted(match.headers):
        place = selectors.key_path(f"{path}.headers", name)
        if not name:
            yield Violation(place, _EMPTY)
        yield from _check_matcher(place, match.headers[name])


def _check_matcher(path: str, matcher: "model.StringMatcher") -> Iterator[Violation]:
    if matcher.prefix is None and matcher.exact is None and matcher.regex is None:
        yield Violation(path, _NO_MATCHER)
    for name, text in (("prefix", matcher.prefix), ("regex", matcher.regex)):
        if text == "":
            yield Violation(f"{path}.{name}", _EMPTY)


def _check_modify(path: str, modify: "model.Modify", matched_prefix: str) -> Iterator[Violation]:
    if modify.path is not None:
        yield from _check_path_change(f"{path}.path", modify.path, matched_prefix)
    if modify.host is not None:
        yield from _check_host_change(f"{path}.host", modify.host)
    headers = (("requestHeaders", modify.request_headers), ("responseHeaders", modify.response_headers))
    for name, changes in headers:
        if changes is not None:
            yield from _check_headers(f"{path}.{name}", changes)


def _check_path_change(path: str, change: "model.PathChange", matched_prefix: str) -> Iterator[Violation]:
    if change.rewrite_prefix is None and change.regex is None:
        yield Violation(path, 'either "rewritePrefix" or "regex" has to be set')
    if change.rewrite_prefix is not None:
        if not change.rewrite_prefix:
            yield Violation(f"{path}.rewritePrefix", _EMPTY)
        if not matched_prefix:
            reason = "can only be set when .http.match.path.prefix is not empty"
            yield Violation(f"{path}.rewritePrefix", reason)
    if change.regex is not None:
        yield from _check_replacement(f"{path}.regex", change.regex)


def _check_host_change(path: str, change: "model.HostChange") -> Iterator[Violation]:
    if change.value is None and change.from_path is None:
        yield Violation(path, 'either "value" or "fromPath" has to be set')
    if change.value == "":
        yield Violation(f"{path}.value", _EMPTY)
    if change.from_path is not None:
        yield from _check_replacement(f"{path}.fromPath", change.from_path)


def _check_replacement(path: str, replacement: "model.RegexReplace") -> Iterator[Violation]:
    for name, text in (("pattern", replacement.pattern), ("substitution", replacement.substitution)):
        if not text:
            yield Violation(f"{path}.{name}", _EMPTY)


def _check_headers(path: str, changes: "model.HeaderChanges") -> Iterator[Violation]:
    for index, added in enumerate(changes.add):
        yield from _check_header_name(f"{path}.add[{index}].name", added.name)
        if not added.value:
            yield Violation(f"{path}.add[{index}].value", _EMPTY)
    for index, removed in enumerate(changes.remove):
        yield from _check_header_name(f"{path}.remove[{index}].name", removed.name)


def _check_header_name(path: str, name: str) -> Iterator[Violation]:
    if not name:
        yield Violation(path, _EMPTY)
    elif name.lower() == "host" or name.startswith(":"):
        yield Violation(path, _RESERVED)


def _check_balancer(path: str, balancer: "model.LoadBalancer") -> Iterator[Violation]:
    if balancer.least_request is not None and balancer.least_request.choice_count == 1:
        yield Violation(f"{path}.leastRequest.choiceCount", "value must be greater than or equal to 2")
    if balancer.ring_hash is not None and balancer.ring_hash.hash_function not in _HASH_FUNCTIONS:
        yield Violation(f"{path}.ringHash.hashFunction", "must have a valid hash function")
