"""Who may pass: RBAC rules out of tags and SPIFFE IDs, shared by both generations of permissions.

A certificate carries one URI SAN per service and one per tag. Envoy's `authenticated` principal tries each SAN by
itself; the `UriSanInput` of matchers joins them with commas (measured with Envoy 1.38), so an exact match there is
written as an expression over one member of the list. Tags and SPIFFE IDs hold no comma, so members cannot be forged.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from kuma.base import labels
from kuma.envoy import api, names

NETWORK = "envoy.filters.network.rbac"
HTTP = "envoy.filters.http.rbac"


def principal(mesh: str, tags: Iterable[tuple[str, str]]) -> api.Message:
    """A client that carries all the tags (`*`: with any value); any client where there are none."""
    parts = [_tag(mesh, key, value) for key, value in tags if (key, value) != (labels.SERVICE_TAG, "*")]
    if not parts:
        return api.Principal(any=True)
    if len(parts) == 1:
        return parts[0]
    out = api.Principal()
    out.and_ids.ids.extend(parts)
    return out


def _tag(mesh: str, key: str, value: str) -> api.Message:
    out = api.Principal()
    name = out.authenticated.principal_name
    if value == "*":
        name.prefix = names.tag_id(key, "")
    elif key == labels.SERVICE_TAG:
        name.exact = names.spiffe_id(mesh, value)
    else:
        name.exact = names.tag_id(key, value)
    return out


def rules(policies: Mapping[str, Iterable[api.Message]], action: int = api.ALLOW) -> api.Message:
    """RBAC rules: per policy name the principals it holds for; without any policy nobody passes."""
    out = api.RbacRules(action=action)
    for name, principals in policies.items():
        policy = out.policies[name]
        policy.permissions.add().any = True
        policy.principals.extend(principals)
    return out


@dataclass(frozen=True, slots=True)
class ClientTest:
    """One match of a permission rule: SPIFFE ID (exact or as a prefix) and/or SNI, all that are given must hold."""

    spiffe_exact: str = ""
    spiffe_prefix: str = ""
    sni: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What happens to clients that pass any of the tests; `name` is shown in stats and logs."""

    tests: tuple[ClientTest, ...]
    name: str
    allow: bool


def matcher(entries: Sequence[Entry], several_sans: bool) -> api.Message:
    """A first-match list that ends in denial. `several_sans`: certificates of this mesh carry more than one URI."""
    out = api.Matcher()
    for entry in entries:
        one = out.matcher_list.matchers.add()
        predicates = [_client(test, several_sans) for test in entry.tests]
        if len(predicates) == 1:
            one.predicate.CopyFrom(predicates[0])
        else:
            one.predicate.or_matcher.predicate.extend(predicates)
        one.on_match.action.CopyFrom(_action(entry.name, entry.allow))
    out.on_no_match.action.CopyFrom(_action("default", False))
    return out


def _action(name: str, allow: bool) -> api.Message:
    decided = api.RbacAction(name=name, action=api.ALLOW if allow else api.DENY)
    return api.XdsTypedExtensionConfig(name="envoy.filters.rbac.action", typed_config=api.pack(decided))


def _client(test: ClientTest, several_sans: bool) -> api.Message:
    parts = []
    if test.spiffe_exact or test.spiffe_prefix:
        parts.append(_single("envoy.matching.inputs.uri_san", api.UriSanInput(), _uri(test, several_sans)))
    if test.sni:
        wanted = api.XdsStringMatcher(exact=test.sni)
        parts.append(_single("envoy.matching.inputs.server_name", api.ServerNameInput(), wanted))
    if len(parts) == 1:
        return parts[0]
    out = api.Matcher.MatcherList.Predicate()
    out.and_matcher.predicate.extend(parts)
    return out


def _single(name: str, source: api.Message, wanted: api.Message) -> api.Message:
    out = api.Matcher.MatcherList.Predicate()
    out.single_predicate.input.CopyFrom(api.XdsTypedExtensionConfig(name=name, typed_config=api.pack(source)))
    out.single_predicate.value_match.CopyFrom(wanted)
    return out


def _uri(test: ClientTest, several_sans: bool) -> api.Message:
    if not several_sans:
        exact = test.spiffe_exact
        return api.XdsStringMatcher(exact=exact) if exact else api.XdsStringMatcher(prefix=test.spiffe_prefix)
    text = re.escape(test.spiffe_exact) if test.spiffe_exact else re.escape(test.spiffe_prefix) + "[^,]*"
    expression = api.XdsRegexMatcher(regex=rf"(.*,)?{text}(,.*)?")
    expression.google_re2.SetInParent()
    return api.XdsStringMatcher(safe_regex=expression)
