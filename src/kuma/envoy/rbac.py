"""Who may pass: RBAC rules out of tags, and matchers that decide by tests of the client.

A certificate carries one URI SAN per service and one per tag. Envoy's `authenticated` principal tries each SAN by
itself. Source: Envoy's API, "RBAC".
"""

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
class Entry:
    """What happens to clients that pass a test; `name` is shown in stats and logs."""

    predicate: api.Message
    name: str
    allow: bool


def matcher(entries: Sequence[Entry]) -> api.Message:
    """A first-match list that ends in denial."""
    out = api.Matcher()
    for entry in entries:
        one = out.matcher_list.matchers.add()
        one.predicate.CopyFrom(entry.predicate)
        one.on_match.action.CopyFrom(_action(entry.name, entry.allow))
    out.on_no_match.action.CopyFrom(_action("default", False))
    return out


def _action(name: str, allow: bool) -> api.Message:
    decided = api.RbacAction(name=name, action=api.ALLOW if allow else api.DENY)
    return api.XdsTypedExtensionConfig(name="envoy.filters.rbac.action", typed_config=api.pack(decided))
