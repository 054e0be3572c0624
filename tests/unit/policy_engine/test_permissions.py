"""Permissions mean what they say: RBAC out of `from` entries admits exactly the clients that the entries admit."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from kuma.compiler import inbounds
from kuma.envoy import api, names
from kuma.plan import nodes, proxy
from kuma.policies.meshtrafficpermission import translate
from kuma.policy_engine import policy
from kuma.policy_engine.matching import matcher, surroundings
from tests.kit import worlds

KEYS = ("kuma.io/service", "version", "team")
VALUES = ("a", "b", "c")
TAGS = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES), max_size=2)
ENTRY = st.tuples(TAGS, st.sampled_from(["Allow", "Deny", "AllowWithShadowDeny"]))
CLIENT = st.fixed_dictionaries({key: st.sampled_from(VALUES) for key in KEYS})


def uris(client: Mapping[str, str]) -> list[str]:
    """The URIs that a certificate of this client carries."""
    service = [names.spiffe_id("m", client["kuma.io/service"])]
    return service + [names.tag_id(key, value) for key, value in client.items()]


def holds(principal: api.Message, sans: list[str]) -> bool:
    """Envoy's evaluation of a principal, as far as we emit it."""
    kind = principal.WhichOneof("identifier")
    if kind == "any":
        return True
    if kind == "and_ids":
        return all(holds(each, sans) for each in principal.and_ids.ids)
    if kind == "not_id":
        return not holds(principal.not_id, sans)
    name = principal.authenticated.principal_name
    if name.exact:
        return name.exact in sans
    return any(san.startswith(name.prefix) for san in sans)


def admitted(rules: api.Message, client: Mapping[str, str]) -> bool:
    sans = uris(client)
    return any(holds(each, sans) for rule in rules.policies.values() for each in rule.principals)


def expected(entries: list[tuple[dict[str, str], str]], client: Mapping[str, str]) -> bool:
    """The last entry that fits the client decides; without one it is refused."""
    actions = [action for tags, action in entries if all(client[key] == value for key, value in tags.items())]
    return bool(actions) and actions[-1] != "Deny"


def rules_of(entries: list[tuple[dict[str, str], str]]) -> api.Message:
    permission = worlds.a_permission("p", *entries)
    picture = worlds.world([worlds.a_mesh(mtls=worlds.BUILTIN), worlds.a_dataplane("d", "s")]).meshes["m"]
    subject = proxy.facts_of(picture.dataplanes["d"], {})
    inbound = next(iter(inbounds.facts(subject)))
    node = inbounds.node(picture, subject, inbound)
    said = translate.POLICY.match(matcher.Matcher(), (permission,), subject, surroundings.Surroundings())
    translate.POLICY.inbound(said.inbound(inbound.address, inbound.port), node, policy.Context("m", mtls=True))
    found = [each for each in node.listener.chains[0].http_filters if each.stage == nodes.Stage.AUTHORIZATION]
    return found[0].message.rules


@given(st.lists(ENTRY, min_size=1, max_size=5), CLIENT)
@settings(max_examples=400, deadline=None)
def test_exactly_the_permitted_clients_are_admitted(
    entries: list[tuple[dict[str, str], str]], client: dict[str, str]
) -> None:
    assert admitted(rules_of(entries), client) == expected(entries, client)


def test_two_refusals_beside_a_permission_for_all_refuse_both() -> None:
    rules = rules_of([({}, "Allow"), ({"kuma.io/service": "a"}, "Deny"), ({"kuma.io/service": "b"}, "Deny")])
    who = {"version": "a", "team": "a"}
    assert [admitted(rules, {"kuma.io/service": each, **who}) for each in VALUES] == [False, False, True]
