"""Which MeshIdentity gives a proxy its SPIFFE ID, and whom MeshTrusts make a mesh trust."""

import dataclasses
from typing import Any

import pytest

from kuma.mesh import spiffe_ids
from kuma.resources import conditions
from kuma.resources import resource as res
from tests.kit import worlds


def a_mesh_identity(
    name: str,
    wanted: dict[str, str] | None,
    *,
    ready: str = "True",
    reason: str = "Ready",
    provider: str = "Bundled",
    labels: dict[str, str] | None = None,
    **spiffe: str,
) -> res.Resource[Any]:
    spec: dict[str, Any] = {
        "selector": {"dataplane": {"matchLabels": wanted}} if wanted is not None else {},
        "spiffeID": spiffe,
    }
    if provider:
        spec["provider"] = {"type": provider, "bundled": {}, "spire": {}}
    found = worlds.resource({"type": "MeshIdentity", "name": name, "labels": labels or {}, "spec": spec})
    status = conditions.Status((conditions.Condition("Ready", ready, reason, ""),))
    return dataclasses.replace(found, status=status)


def identity(
    name: str, wanted: dict[str, str] | None, environment: str = "universal", **more: Any
) -> spiffe_ids.Identity | None:
    return spiffe_ids.identity_of(a_mesh_identity(name, wanted, **more), "east", environment)


def known(*found: spiffe_ids.Identity | None) -> list[spiffe_ids.Identity]:
    return [each for each in found if each is not None]


def test_the_most_labels_count_then_the_first_name() -> None:
    found = known(
        identity("b", {"app": "x"}, trustDomain="b.io"),
        identity("a", {"app": "x"}, trustDomain="a.io"),
        identity("0", {}, trustDomain="0.io"),
    )
    for own, expected in (({"app": "x"}, "a"), ({"app": "y"}, "0")):
        best = spiffe_ids.best(found, own)
        assert best is not None
        assert best.resource.meta.name == expected
    assert spiffe_ids.best(found[:2], {}) is None


def test_the_expected_id_is_that_of_a_ready_identity_if_there_is_one() -> None:
    coming = a_mesh_identity("a", {"app": "x"}, ready="False", reason="NotYet", trustDomain="a.io", path="/p")
    ready = a_mesh_identity("b", {}, trustDomain="b.io", path="/p")
    for several, expected in (((coming, ready), "spiffe://b.io/p"), ((coming,), "spiffe://a.io/p"), ((), None)):
        assert spiffe_ids.expected_id(several, {"app": "x"}, "east", "universal") == expected
    assert spiffe_ids.expected_id([coming], {}, "east", "universal") is None


def test_an_identity_that_is_not_ready_takes_no_proxy_from_another() -> None:
    coming = identity("a", {"app": "x"}, ready="False", reason="PartiallyReady", trustDomain="a.io", path="/p")
    found = known(identity("b", {}, trustDomain="b.io", path="/p"), coming)
    best = spiffe_ids.best(found, {"app": "x"})
    assert best is not None
    assert best.resource.meta.name == "b"
    assert spiffe_ids.all_of(found, {"app": "x"}) == {"spiffe://a.io/p", "spiffe://b.io/p"}


@pytest.mark.parametrize(
    ("options", "own", "expected"),
    [
        ({}, {"kuma.io/workload": "w"}, "spiffe://m.east.mesh.local/workload/w"),
        ({}, {}, None),
        ({"path": "/"}, {}, None),
        ({"path": "no"}, {}, None),
        (
            {"environment": "kubernetes"},
            {"k8s.kuma.io/namespace": "n", "k8s.kuma.io/service-account": "s"},
            "spiffe://m.east.mesh.local/ns/n/sa/s",
        ),
        ({"labels": {"kuma.io/zone": "east"}}, {"kuma.io/workload": "w"}, "spiffe://m.east.mesh.local/workload/w"),
        ({"trustDomain": "t.io", "path": '/{{ label "app" }}'}, {"app": "x"}, "spiffe://t.io/x"),
        ({"trustDomain": "t.io", "path": '/{{ label "app" }}'}, {}, None),
        ({"trustDomain": "t.io", "path": "/on/{{ .TrustDomain }}"}, {}, "spiffe://t.io/on/t.io"),
        (
            {"trustDomain": '{{ label "team" }}.io', "labels": {"team": "a"}, "path": "/p"},
            {"team": "b"},
            "spiffe://a.io/p",
        ),
    ],
)
def test_templates(options: dict[str, Any], own: dict[str, str], expected: str | None) -> None:
    """Labels in a path are those of the proxy, in a trust domain those of the MeshIdentity."""
    found = identity("i", {}, **options)
    assert found is not None
    assert found.spiffe_id(own) == expected


@pytest.mark.parametrize(
    ("path", "own", "said"),
    [
        (None, {}, 'its path would be "/workload/" (the proxy has no label kuma.io/workload)'),
        ("/a//b", {"kuma.io/workload": "w"}, 'its path would be "/a//b"'),
        ('/{{ label "app" }}', {}, "label app not found"),
    ],
)
def test_why_there_is_no_id(path: str | None, own: dict[str, str], said: str) -> None:
    found = identity("i", {}, **({"path": path} if path is not None else {}))
    assert found is not None
    assert found.obstacle(own).endswith(said)


@pytest.mark.parametrize(
    ("wanted", "options"),
    [
        (None, {}),
        ({}, {"ready": "False", "reason": "Failure"}),
        ({}, {"labels": {"kuma.io/origin": "zone", "kuma.io/zone": "west"}}),
        ({}, {"trustDomain": '{{ label "none" }}'}),
    ],
    ids=["selects nobody", "failed", "of another zone", "no trust domain"],
)
def test_identities_that_give_nothing(wanted: Any, options: dict[str, Any]) -> None:
    assert identity("i", wanted, **options) is None


@pytest.mark.parametrize(("provider", "ready"), [("Bundled", True), ("Spire", True), ("Extension", False), ("", False)])
def test_who_gives_certificates(provider: str, ready: bool) -> None:
    found = identity("i", {}, provider=provider)
    assert found is not None
    assert found.is_ready is ready


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/workload/{{ .Workload }}", True),
        ('/w/{{label "kuma.io/workload"}}', True),
        ("/w/{{- .Workload -}}", True),
        ('/w/{{ .Workload | printf "%s" }}', True),
        ("/w/{{ label `kuma.io/workload` }}", True),
        ("/ns/{{ .Namespace }}", False),
        ("/{{ .Namespace }}/.Workload", False),
    ],
)
def test_paths_that_need_a_workload(path: str, expected: bool) -> None:
    assert spiffe_ids.names_workloads(path) is expected


def trust(name: str, domain: str, *pems: str) -> Any:
    bundles = [{"type": "Pem", "pem": {"value": each}} for each in pems]
    return worlds.resource({"type": "MeshTrust", "name": name, "spec": {"trustDomain": domain, "caBundles": bundles}})


def test_roots_by_trust_domain() -> None:
    found = spiffe_ids.trusts_of([trust("a", "x.io", "1", "2"), trust("b", "c.io", "3"), trust("c", "x.io", "4")])
    assert found.domains == (("c.io", ("3",)), ("x.io", ("1", "2", "4")))
    assert found.kris == ("kri_mtrust_m___a_", "kri_mtrust_m___b_", "kri_mtrust_m___c_")
    assert found.with_roots("c.io", "5").domains[0] == ("c.io", ("3", "5"))
    assert found.with_roots("m", "5").domains[1] == ("m", ("5",))
