"""The index finds what looking at every policy would find, in whatever order policies come."""

from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from kuma.policy_engine.matching import index, matching, places, selection, surroundings
from kuma.policy_engine.merging import rules
from kuma.resources import resource as res
from tests.kit import policies

TAGS = st.dictionaries(st.sampled_from(["kuma.io/service", "version"]), st.sampled_from(["a", "b", "*"]), max_size=2)
NAMES = st.sampled_from(["a", "b"])
PROXY_TYPES = st.sampled_from([None, ["Sidecar"], ["Gateway"], ["Sidecar", "Gateway"]])
LABELS = st.dictionaries(st.sampled_from(["app", "team"]), NAMES, min_size=1, max_size=2)


def target(kind: str, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    said = st.fixed_dictionaries(fields)
    return said.map(lambda each: {"kind": kind, **{key: value for key, value in each.items() if value is not None}})


TOPS = st.one_of(
    target("Mesh", proxyTypes=PROXY_TYPES),
    target("MeshSubset", tags=TAGS, proxyTypes=PROXY_TYPES),
    target("MeshService", name=NAMES),
    target("MeshServiceSubset", name=NAMES, tags=TAGS),
    target("MeshGateway", name=NAMES, tags=TAGS),
    target("MeshHTTPRoute", name=NAMES),
    target("Dataplane", name=NAMES),
    target("Dataplane", labels=LABELS, sectionName=st.sampled_from([None, "in-0", "8002"])),
    target("Dataplane"),
)
META = st.fixed_dictionaries(
    {},
    optional={
        "kuma.io/origin": st.sampled_from(["zone", "global"]),
        "kuma.io/zone": NAMES,
        "kuma.io/policy-role": st.sampled_from(["system", "producer", "consumer", "workload-owner"]),
        "k8s.kuma.io/namespace": NAMES,
        "kuma.io/display-name": NAMES,
    },
)
TO = st.one_of(target("Mesh"), target("MeshService", name=NAMES), target("MeshService", labels=LABELS))
CARRIED = st.fixed_dictionaries({"kuma.io/service": NAMES}, optional={"version": NAMES})
OWN = st.builds(lambda one, other: {**one, **other}, META, LABELS)


@st.composite
def timeouts(draw: st.DrawFn) -> list[res.Resource[Any]]:
    """MeshTimeouts of names of their own."""
    return [
        policies.a_timeout(f"p-{number}", number + 1, draw(TOPS), draw(TO), draw(META))
        for number in range(draw(st.integers(0, 6)))
    ]


@st.composite
def proxies(draw: st.DrawFn) -> res.Resource[Any]:
    kind = draw(st.sampled_from(["sidecar", "BUILTIN", "DELEGATED"]))
    if kind == "sidecar":
        inbounds = draw(st.lists(CARRIED, max_size=2))
        return policies.a_subject(*inbounds, name=draw(NAMES), labels=draw(OWN)).resource
    return policies.a_subject(
        name=draw(NAMES), labels=draw(OWN), gateway={"type": kind, "tags": draw(CARRIED)}
    ).resource


def a_gateway(name: str) -> res.Resource[Any]:
    listeners = [{"port": 80, "protocol": "HTTP", "tags": {"version": "a"}}, {"port": 81, "protocol": "HTTP"}]
    selectors = [{"match": {"kuma.io/service": name}}]
    return policies.a_resource("MeshGateway", name, selectors=selectors, conf={"listeners": listeners})


AROUND = surroundings.Surroundings(
    routes=[policies.a_policy("MeshHTTPRoute", "a", {"kind": "MeshService", "name": "a"}, to=[])],
    gateways=[a_gateway("a"), a_gateway("b")],
    services=[policies.a_service("a", {"app": "a"}, http=80), policies.a_service("b", {"app": "a"}, http=80)],
    mesh=policies.a_resource("Mesh", "m"),
)


def shown(found: rules.ProxyRules) -> Any:
    """Everything that is said, as values that compare."""
    to = [
        (str(each.target), each.merged.conf, [(origin.name, origin.rule) for origin in each.merged.origins])
        for each in found.to.resource_rules.all()
    ]
    tagged = [(each.subset, each.merged.conf) for each in found.to.tag_rules.all()]
    return [each.meta.name for each in found.policies], to, tagged, sorted(found.inbounds)


@given(timeouts(), proxies())
def test_a_proxy_finds_the_policies_and_places_that_a_look_at_each_would_find(
    made: list[res.Resource[Any]], proxy: res.Resource[Any]
) -> None:
    kind = policies.KINDS["MeshTimeout"]
    counting = index.PolicyIndex(kind, made, AROUND)
    asked = places.places_of(proxy, AROUND.gateways)
    found = {counting.policies[position].resource.meta.name: chosen for position, chosen in counting.select(asked)}
    looked = {each.meta.name: selection.selected(each, asked, AROUND) for each in made}
    assert found == {name: chosen for name, chosen in looked.items() if chosen}


@given(timeouts(), proxies(), st.randoms(use_true_random=False))
def test_the_order_in_which_policies_come_changes_nothing(
    made: list[res.Resource[Any]], proxy: res.Resource[Any], random: Any
) -> None:
    names = [each.meta.display_name for each in made]
    assume(len(set(names)) == len(names))  # ties are decided by the order alone
    kind, asked = policies.KINDS["MeshTimeout"], places.places_of(proxy, AROUND.gateways)
    mixed = list(made)
    random.shuffle(mixed)
    one = matching.match_places(kind, made, asked, AROUND)
    assert shown(matching.match_places(kind, mixed, asked, AROUND)) == shown(one)


@given(timeouts(), timeouts(), proxies())
def test_an_index_that_takes_over_from_another_says_what_a_new_one_says(
    old: list[res.Resource[Any]], new: list[res.Resource[Any]], proxy: res.Resource[Any]
) -> None:
    kind, asked = policies.KINDS["MeshTimeout"], places.places_of(proxy, AROUND.gateways)
    kept = [*old[: len(old) // 2], *new[len(old) // 2 :]]
    before = index.PolicyIndex(kind, old, AROUND)
    matching.answer(before, asked)
    taken = matching.answer(index.PolicyIndex(kind, kept, AROUND, before), asked).for_proxy(asked)
    assert shown(taken) == shown(matching.match_places(kind, kept, asked, AROUND))
