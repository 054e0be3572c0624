"""MeshTrafficPermission: where its filter stands, and what the rules of several policies become together."""

from typing import Any

import pytest

from kuma.envoy import api, rbac
from kuma.plan import nodes
from kuma.policies.meshtrafficpermission import translate
from kuma.resources import resource as res
from tests.kit import policies, translated

ALLOW_ALL = policies.a_policy(
    "MeshTrafficPermission", "all", from_=[{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]
)


def ids(*names: str) -> list[dict[str, Any]]:
    return [{"spiffeID": {"type": "Exact", "value": f"spiffe://td/{name}"}} for name in names]


def permission(name: str, target: Any = None, **conf: Any) -> res.Resource[Any]:
    return policies.a_policy("MeshTrafficPermission", name, target, rules=[{"default": conf}])


def entries(matcher: api.Message) -> list[tuple[str, str, list[str]]]:
    """Of each entry of a matcher what it does, in whose name, and to which clients."""
    out = []
    for each in matcher.matcher_list.matchers:
        action = api.RbacAction.FromString(each.on_match.action.typed_config.value)
        several = list(each.predicate.or_matcher.predicate) or [each.predicate]
        clients = [one.single_predicate.value_match.exact.rpartition("/")[2] for one in several]
        out.append((_verb(action), action.name, clients))
    return out


def _verb(action: api.Message) -> str:
    return "deny" if action.action == api.DENY else "allow"


def http_rbac(*said: res.Resource[Any]) -> api.Message:
    (made,) = translated.inbound(translate.POLICY, *said).listener.chains[0].http_filters
    assert (made.stage, made.name) == (nodes.Stage.AUTHORIZATION, rbac.HTTP)
    return made.message


def test_refusals_of_all_policies_go_before_permissions() -> None:
    mesh = permission("mesh", allow=ids("a", "b"))
    own = permission("own", {"kind": "Dataplane"}, deny=ids("c"), allow=ids("d"), allowWithShadowDeny=ids("e"))
    message = http_rbac(mesh, own)
    assert entries(message.matcher) == [
        ("deny", "kri_mtp_m___own_", ["c"]),
        ("allow", "kri_mtp_m___own_", ["d", "e"]),
        ("allow", "kri_mtp_m___mesh_", ["a", "b"]),
    ]
    otherwise = api.RbacAction.FromString(message.matcher.on_no_match.action.typed_config.value)
    assert (_verb(otherwise), otherwise.name) == ("deny", "default")
    assert entries(message.shadow_matcher) == [("deny", "kri_mtp_m___own_", ["e"])]


def test_without_shadow_denials_there_is_no_shadow() -> None:
    message = http_rbac(permission("p", allow=ids("a")))
    assert not message.HasField("shadow_matcher")
    assert not message.HasField("rules")


def test_rules_go_before_entries_of_from() -> None:
    message = http_rbac(ALLOW_ALL, permission("p", allow=ids("a")))
    assert message.HasField("matcher")
    assert not message.HasField("rules")


@pytest.mark.parametrize("protocol", ["tcp", "kafka"])
def test_other_protocols_are_refused_by_a_network_filter(protocol: str) -> None:
    chain = translated.inbound(translate.POLICY, ALLOW_ALL, protocol=protocol).listener.chains[0]
    (made,) = [each for each in chain.filters if each.stage is nodes.Stage.AUTHORIZATION]
    assert (made.name, made.message.stat_prefix) == (rbac.NETWORK, "inbound_192_168_0_1_8080.")
    assert list(made.message.rules.policies) == ["MeshTrafficPermission"]


def test_without_a_permission_nobody_passes() -> None:
    message = http_rbac()
    assert message.HasField("rules")
    assert not message.rules.policies


def test_without_mutual_tls_nobody_is_asked() -> None:
    node = translated.inbound(translate.POLICY, ALLOW_ALL, mtls=False)
    assert node.listener.chains[0].http_filters == []
