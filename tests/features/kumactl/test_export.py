"""`kumactl export` against a stub: which kinds a profile takes, their order, and what is changed on the way."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from kuma.apps.kumactl import kinds
from kuma.apps.kumactl.commands import export
from kuma.resources import kind as kind_
from tests.kit import cli, rest_stub

Call = Callable[..., cli.Outcome]

_LABELS = {"kuma.io/origin": "zone", "team": "a"}
_RESOURCES: list[dict[str, Any]] = [
    {"type": "GlobalSecret", "name": "user-token-signing-key-1", "data": "a2V5"},
    {"type": "GlobalSecret", "name": "zz", "data": "a2V5"},
    {"type": "GlobalSecret", "name": "inter-cp-ca", "data": "a2V5"},
    {"type": "Zone", "name": "east"},
    {
        "type": "Mesh",
        "name": "shop",
        "mtls": {"enabledBackend": "ca-1", "backends": [{"name": "ca-1", "type": "builtin"}]},
    },
    {"type": "Mesh", "name": "default"},
    {"type": "Secret", "mesh": "shop", "name": "s", "data": "a2V5"},
    {
        "type": "Retry",
        "mesh": "shop",
        "name": "r",
        "labels": {"kuma.io/origin": "zone"},
        "sources": [{"match": {"kuma.io/service": "*"}}],
        "destinations": [{"match": {"kuma.io/service": "*"}}],
        "conf": {"tcp": {"maxConnectAttempts": 5}},
    },
    {"type": "MeshRetry", "mesh": "default", "name": "mr", "labels": _LABELS, "spec": {"to": []}},
    {
        "type": "Dataplane",
        "mesh": "shop",
        "name": "web",
        "networking": {"address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"kuma.io/service": "web"}}]},
    },
]


def _described(kind: kind_.Kind[Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "name": kind.name,
        "includeInFederation": bool(kind.sync & kind_.Sync.GLOBAL_TO_ZONE) and not kind.read_only,
    }
    return shown | ({"policy": {"isTargetRef": kind.policy.target_ref}} if kind.policy else {})


@pytest.fixture
def filled(stub: rest_stub.Stub) -> rest_stub.Stub:
    for each in _RESOURCES:
        stub.add(each)
    stub.canned["/_resources"] = (200, {"resources": [_described(each) for each in kinds.catalog() if each.exposed]})
    return stub


def _documents(done: cli.Outcome) -> list[dict[str, Any]]:
    assert done.code == 0, done.err
    assert done.err == ""
    return [each for each in yaml.safe_load_all(done.out) if each]


def _names(done: cli.Outcome) -> list[str]:
    return [f"{each['type']}/{each['name']}" for each in _documents(done)]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), "Mesh/default Mesh/shop Secret/s Retry/r GlobalSecret/zz GlobalSecret/user-token-signing-key-1"),
        (
            ("--profile", "federation-with-policies"),
            "Mesh/default Mesh/shop Secret/s MeshRetry/mr Retry/r "
            "GlobalSecret/zz GlobalSecret/user-token-signing-key-1",
        ),
        (("--profile", "all"), "Mesh/default Mesh/shop Dataplane/web MeshRetry/mr Retry/r Zone/east"),
        (
            ("--profile", "all", "-a"),
            "Mesh/default Mesh/shop Secret/s Dataplane/web MeshRetry/mr Retry/r Zone/east "
            "GlobalSecret/zz GlobalSecret/user-token-signing-key-1",
        ),
        (("--profile", "no-dataplanes"), "Mesh/default Mesh/shop MeshRetry/mr Retry/r Zone/east"),
    ],
)
def test_each_profile_takes_its_kinds_in_order(
    filled: rest_stub.Stub, call: Call, args: tuple[str, ...], expected: str
) -> None:
    assert _names(call("export", *args)) == expected.split()


def test_builtin_cas_become_provided_by_their_secrets(filled: rest_stub.Stub, call: Call) -> None:
    shop = _documents(call("export"))[1]
    assert shop["skipCreatingInitialPolicies"] == ["*"]
    assert shop["mtls"] == {
        "enabledBackend": "ca-1",
        "skipValidation": True,
        "backends": [
            {
                "name": "ca-1",
                "type": "provided",
                "conf": {
                    "cert": {"secret": "shop.ca-builtin-cert-ca-1"},
                    "key": {"secret": "shop.ca-builtin-key-ca-1"},
                },
            }
        ],
    }


def test_only_federation_drops_the_origin(filled: rest_stub.Stub, call: Call) -> None:
    federated = {each["type"]: each for each in _documents(call("export", "--profile", "federation-with-policies"))}
    assert federated["MeshRetry"]["labels"] == {"team": "a"}
    assert "labels" not in federated["Retry"]
    kept = {each["type"]: each for each in _documents(call("export", "--profile", "all"))}
    assert kept["MeshRetry"]["labels"] == _LABELS


def test_the_output_is_headed_and_can_be_applied(filled: rest_stub.Stub, call: Call) -> None:
    done = call("export")
    assert done.out.startswith(
        "# Product: Kuma, Version: 2.14.3, Hostname: stub, ClusterId: c, InstanceId: stub-1\n---\n"
    )
    filled.resources.clear()
    applied = call("apply", "-f", "-", stdin=done.out)
    assert applied.code == 0, applied.err
    assert len(applied.out.splitlines()) == len(_documents(done))


def test_every_page_is_exported(filled: rest_stub.Stub, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "PAGE", 2)
    for number in range(5):
        filled.add({"type": "Retry", "mesh": "default", "name": f"r{number}", "conf": {}})
    assert len([name for name in _names(call("export")) if name.startswith("Retry/")]) == 6


def test_kubernetes_objects_lose_what_their_cluster_added(filled: rest_stub.Stub, call: Call) -> None:
    added = {"uid": "u", "resourceVersion": "1", "generation": 1, "managedFields": [], "ownerReferences": []}
    for path, metadata in (
        ("/meshes/default/meshretries/mr", {"name": "mr", "namespace": "kuma-system", "labels": _LABELS, **added}),
        ("/meshes/shop/retries/r", {"name": "r", "namespace": "elsewhere"}),
    ):
        filled.canned[path] = (200, {"kind": "Any", "metadata": metadata})
    done = call("export", "--profile", "federation-with-policies", "--format", "kubernetes")
    shown = {each["metadata"]["name"]: each for each in _documents(done) if each.get("metadata")}
    assert shown["mr"]["metadata"] == {"name": "mr", "namespace": "kuma-system", "labels": {"team": "a"}}
    assert "r" not in shown


def test_kinds_that_kumactl_does_not_know_are_named(filled: rest_stub.Stub, call: Call) -> None:
    filled.canned["/_resources"][1]["resources"].append({"name": "Marvel", "includeInFederation": True})
    done = call("export")
    text = "The following types won't be exported because they are unknown to kumactl: Marvel"
    assert f"# {text}\n" in done.out
    assert done.err.startswith(f"WARNING: {text}")


@pytest.mark.parametrize(("flag", "word"), [("--profile", "profile"), ("--format", "format")])
def test_an_unknown_profile_or_format_ends_after_the_heading(
    filled: rest_stub.Stub, call: Call, flag: str, word: str
) -> None:
    done = call("export", flag, "x")
    assert done.code == 1
    assert done.out.startswith("# Product: Kuma")
    assert done.out.count("\n") == 1
    assert done.err == f'Error: invalid {word}: "x"\n'
