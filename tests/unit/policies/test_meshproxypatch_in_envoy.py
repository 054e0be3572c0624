"""MeshProxyPatch and ProxyTemplate: what becomes of a proxy's clusters and listeners."""

from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format, symbol_database

from kuma.compiler import admin, compile
from kuma.discovery import resources as xds
from kuma.envoy import api
from kuma.legacy_policies.proxytemplate import model as template
from kuma.legacy_policies.proxytemplate import translate as template_translate
from kuma.plan import proxy
from kuma.policies.meshproxypatch import model, translate
from kuma.policy_engine import modifications
from kuma.resources import codec
from kuma.resources import resource as res
from tests.kit import worlds

INBOUND = "inbound:192.168.0.1:8080"
OUTBOUND = "outbound:127.0.0.1:10001"
FAULT = {"name": "envoy.filters.http.fault"}
MANAGER = "envoy.filters.network.http_connection_manager"


def a_patch(*modifications: Mapping[str, Any], name: str = "patch") -> res.Resource[Any]:
    spec = {"default": {"appendModifications": list(modifications)}}
    return codec.decode(model.KIND, {"type": model.KIND.name, "mesh": "m", "name": name, "spec": spec})


def a_template(*modifications: Mapping[str, Any], **conf: Any) -> res.Resource[Any]:
    document = {
        "type": template.KIND.name,
        "mesh": "m",
        "name": "template",
        "selectors": [{"match": {"kuma.io/service": "*"}}],
        "conf": {"imports": ["default-proxy"], "modifications": list(modifications), **conf},
    }
    return codec.decode(template.KIND, document)


class Proxy:
    """A proxy of service `web` with an outbound to `api` and the policies of the mesh."""

    def __init__(self, *policies: res.Resource[Any]) -> None:
        web = worlds.a_dataplane("web", "web", outbounds={"api": 10001})
        api = worlds.a_dataplane("api", "api", address="192.168.0.2")
        speakers = (translate.POLICY, template_translate.POLICY)
        world = worlds.world([worlds.a_mesh(), web, api, *policies])
        picture = world.meshes["m"]
        compiler = compile.Compiler(speakers)
        subject = proxy.facts_of(picture.dataplanes["web"], {})
        said = compiler.match(picture, subject)
        self.own = compiler.own(picture, subject, said, compile.Issued(), admin.AdminCertificate(b"", b"", b""))
        self.shape = compiler.shape(picture, subject, said)
        self.problems = (*self.own.problems, *(p for built in self.shape.built.values() for p in built.problems))

    def all(self, type_url: str) -> dict[str, Any]:
        """The resources of a type by name, as JSON."""
        message = symbol_database.Default().GetSymbol(type_url.removeprefix(xds.TYPE_PREFIX))
        found = compile.snapshot(self.own, self.shape).of(type_url)
        return {each.name: json_format.MessageToDict(message.FromString(each.value)) for each in found}

    def manager(self, listener: str) -> dict[str, Any]:
        """The connection manager of a listener."""
        (found,) = self.all(xds.LISTENER)[listener]["filterChains"][0]["filters"]
        return dict(found["typedConfig"])


def on_cluster(operation: str, match: Any = None, **fields: Any) -> dict[str, Any]:
    return {"cluster": {"operation": operation, **({"match": match} if match else {}), **fields}}


def test_both_halves_are_patched() -> None:
    made = Proxy(a_patch(on_cluster("Patch", value="connectTimeout: 7s")))
    assert {name: each["connectTimeout"] for name, each in made.all(xds.CLUSTER).items()} == {
        "localhost:80": "7s",
        "api": "7s",
    }
    assert not made.problems


@pytest.mark.parametrize(
    ("match", "left"),
    [
        ({"origin": "inbound"}, ["api"]),
        ({"origin": "outbound"}, ["localhost:80"]),
        ({"name": "api"}, ["localhost:80"]),
        ({"name": "api", "origin": "inbound"}, ["api", "localhost:80"]),
        (None, []),
    ],
)
def test_what_fits_is_removed(match: Any, left: list[str]) -> None:
    assert sorted(Proxy(a_patch(on_cluster("Remove", match))).all(xds.CLUSTER)) == left


def test_what_is_added_takes_the_place_of_its_name_and_goes_through_later_changes() -> None:
    made = Proxy(
        a_patch(
            on_cluster("Patch", value="altStatName: early"),
            on_cluster("Add", value="{name: api, type: STATIC, connectTimeout: 1s}"),
            on_cluster("Patch", {"origin": "mesh-proxy-patch"}, value="connectTimeout: 2s"),
        )
    )
    assert made.all(xds.CLUSTER)["api"] == {"name": "api", "type": "STATIC", "connectTimeout": "2s"}
    assert xds.CLUSTER not in made.shape.sets
    assert made.own.authors[xds.CLUSTER, "api"][0].name == "patch"


@pytest.mark.parametrize(("target", "member"), [("listener", "name"), ("networkFilter", "listenerName")])
@pytest.mark.parametrize(
    ("written", "listener", "is_meant"),
    [
        ("outbound:passthrough:ipv4", "self_transparentproxy_passthrough_outbound_ipv4", True),
        ("self_transparentproxy_passthrough_inbound_ipv6", "inbound:passthrough:ipv6", True),
        ("outbound:passthrough:ipv6", "self_transparentproxy_passthrough_outbound_ipv4", False),
        (INBOUND, "self_inbound_dp_8080", False),
    ],
)
def test_listeners_of_transparent_proxying_have_two_names(
    target: str, member: str, written: str, listener: str, is_meant: bool
) -> None:
    """Patches outlive a change of the naming (Kuma, pull request 17546)."""
    changes = translate.changes(a_patch({target: {"operation": "Remove", "match": {member: written}}}).spec.default)
    message = api.Listener(name=listener, filter_chains=[api.FilterChain(filters=[api.Filter(name="one")])])
    left = modifications.modified(changes, xds.LISTENER, message, "transparent").message
    assert (left != message) is is_meant


@pytest.mark.parametrize(
    ("match", "inbound", "outbound"),
    [
        ({}, True, True),
        ({"origin": "outbound"}, False, True),
        ({"listenerName": INBOUND}, True, False),
        ({"listenerTags": {"kuma.io/service": "api"}}, False, True),
        ({"listenerTags": {"kuma.io/service": "*"}}, True, True),
        ({"listenerTags": {"version": "1"}}, False, False),
    ],
)
def test_filters_of_listeners_that_fit(match: dict[str, Any], inbound: bool, outbound: bool) -> None:
    first = {"operation": "AddFirst", "match": match, "value": "name: envoy.filters.http.fault"}
    made = Proxy(a_patch({"httpFilter": first}))
    assert (made.manager(INBOUND)["httpFilters"][0] == FAULT) is inbound
    assert (made.manager(OUTBOUND)["httpFilters"][0] == FAULT) is outbound


@pytest.mark.parametrize(
    ("operation", "name", "expected"),
    [
        ("AddBefore", MANAGER, ["new", MANAGER]),
        ("AddAfter", MANAGER, [MANAGER, "new"]),
        ("AddBefore", "another", [MANAGER]),
        ("AddLast", "another", [MANAGER, "new"]),
        ("Remove", MANAGER, []),
        ("Remove", None, []),
    ],
)
def test_network_filters(operation: str, name: str | None, expected: list[str]) -> None:
    change = {"operation": operation, **({"match": {"name": name}} if name else {})}
    made = Proxy(a_patch({"networkFilter": change if operation == "Remove" else {**change, "value": "name: new"}}))
    found = made.all(xds.LISTENER)[INBOUND]["filterChains"][0].get("filters", [])
    assert [each["name"] for each in found] == expected


def test_virtual_hosts() -> None:
    made = Proxy(
        a_patch(
            {
                "virtualHost": {
                    "operation": "Add",
                    "match": {"routeConfigurationName": "outbound:api"},
                    "value": "{name: new, domains: [new.test]}",
                }
            },
            {"virtualHost": {"operation": "Patch", "match": {"name": "new"}, "value": "requireTls: ALL"}},
            {"virtualHost": {"operation": "Remove", "match": {"name": "web"}}},
        )
    )
    assert [each["name"] for each in made.manager(OUTBOUND)["routeConfig"]["virtualHosts"]] == ["api", "new"]
    assert made.manager(OUTBOUND)["routeConfig"]["virtualHosts"][1]["requireTls"] == "ALL"
    assert "virtualHosts" not in made.manager(INBOUND)["routeConfig"]


def test_a_json_patch_sees_the_configuration_of_the_filter() -> None:
    patches = [{"op": "add", "path": "/httpFilters/0/typedConfig/suppressEnvoyHeaders", "value": True}]
    made = Proxy(a_patch({"networkFilter": {"operation": "Patch", "match": {"name": MANAGER}, "jsonPatches": patches}}))
    assert made.manager(INBOUND)["httpFilters"][0]["typedConfig"]["suppressEnvoyHeaders"] is True


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            on_cluster("Patch", {"name": "api"}, jsonPatches=[{"op": "replace", "path": "/nothing", "value": 1}]),
            'appendModifications[0].cluster: api stays as it was: there is no "/nothing"',
        ),
        (
            on_cluster("Patch", {"name": "api"}, value="{lbPolicy: MAGLEV, maglevLbConfig: {tableSize: 99999999}}"),
            "appendModifications[0].cluster: api stays as it was: invalid Cluster.MaglevLbConfig",
        ),
        (
            {
                "networkFilter": {
                    "operation": "Patch",
                    "match": {"name": MANAGER, "origin": "outbound"},
                    "value": "{name: x, typedConfig: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}",
                }
            },
            f"appendModifications[0].networkFilter: {OUTBOUND} stays as it was: it is a envoy",
        ),
    ],
)
def test_what_cannot_be_done_is_told_and_the_rest_is_done(change: dict[str, Any], problem: str) -> None:
    made = Proxy(a_patch(change, on_cluster("Patch", value="connectTimeout: 7s")))
    (told,) = made.problems
    assert told.startswith(problem)
    assert made.all(xds.CLUSTER)["api"] == {**Proxy().all(xds.CLUSTER)["api"], "connectTimeout": "7s"}


def test_a_template_comes_after_the_patches() -> None:
    made = Proxy(
        a_patch(
            on_cluster("Add", value="{name: new, type: STATIC, connectTimeout: 1s}"),
            on_cluster("Patch", value="altStatName: patched"),
        ),
        a_template(
            {"cluster": {"operation": "patch", "match": {"origin": "mesh-proxy-patch"}, "value": "connectTimeout: 2s"}},
            {"cluster": {"operation": "add", "value": "{name: later, type: STATIC}"}},
            {"cluster": {"operation": "remove", "match": {"origin": "inbound"}}},
            resources=[
                {
                    "name": "raw",
                    "version": "1",
                    "resource": "{'@type': type.googleapis.com/envoy.config.cluster.v3.Cluster, name: raw}",
                }
            ],
        ),
    )
    found = made.all(xds.CLUSTER)
    assert sorted(found) == ["api", "later", "new", "raw"]
    assert found["new"]["connectTimeout"] == "2s"
    assert found["new"]["altStatName"] == "patched"
    assert "altStatName" not in found["later"]
    assert "altStatName" not in found["raw"]


def test_the_template_that_fits_best_counts() -> None:
    best = {
        "type": template.KIND.name,
        "mesh": "m",
        "name": "best",
        "selectors": [{"match": {"kuma.io/service": "web"}}],
    }
    change = {"cluster": {"operation": "patch", "value": "connectTimeout: 3s"}}
    made = Proxy(
        codec.decode(template.KIND, {**best, "conf": {"modifications": [change]}}),
        a_template({"cluster": {"operation": "patch", "value": "connectTimeout: 9s"}}),
    )
    assert {each["connectTimeout"] for each in made.all(xds.CLUSTER).values()} == {"3s"}


def test_who_changed_something_is_an_author_of_that_alone() -> None:
    made = Proxy(a_patch(on_cluster("Patch", {"name": "localhost:80"}, value="connectTimeout: 7s"), name="mine"))

    def patches(kind: str, name: str) -> list[str]:
        built = made.shape.built.get((kind, name))
        authors = made.own.authors[kind, name] if built is None else built.authors
        return [each.name for each in authors if each.kind == model.KIND.name]

    assert patches(xds.CLUSTER, "localhost:80") == ["mine"]
    assert not patches(xds.CLUSTER, "api")
    assert not patches(xds.LISTENER, INBOUND)
    assert not patches(xds.LISTENER, OUTBOUND)
