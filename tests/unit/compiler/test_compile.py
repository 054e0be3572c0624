"""The compile: what stands in a proxy's configuration, what proxies share, and what each change makes anew."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format, symbol_database

from kuma.compiler import admin, compile, shapes
from kuma.discovery import resources as xds
from kuma.mesh import view
from kuma.plan import proxy
from kuma.resources import resource as res
from kuma.resources.kinds import meshservice, statuses
from tests.kit import worlds

IDENTITY = compile.Issued(compile.Identity(b"cert", b"key", b"roots"))
ADMIN = {"dataplane.admin.port": "9901", "dataplane.readinessReporter.port": "9902"}


def picture(*resources: res.Resource[Any]) -> view.MeshView:
    return worlds.world(resources).meshes["m"]


def compiled(made: view.MeshView, name: str, metadata: Mapping[str, Any] | None = None) -> xds.Snapshot:
    compiler = compile.Compiler(worlds.POLICIES)
    subject = proxy.facts_of(made.dataplanes[name], metadata or {})
    issued = IDENTITY if made.backend else compile.Issued()
    said = compiler.match(made, subject)
    own = compiler.own(made, subject, said, issued, admin.AdminCertificate(b"c", b"k", b"a"))
    return compile.snapshot(own, compiler.shape(made, subject, said))


def read(snapshot: xds.Snapshot, type_url: str) -> dict[str, Any]:
    """The resources of a type by name, as JSON values."""
    message = symbol_database.Default().GetSymbol(type_url.removeprefix(xds.TYPE_PREFIX))
    return {each.name: json_format.MessageToDict(message.FromString(each.value)) for each in snapshot.of(type_url)}


def filters(listener: Mapping[str, Any]) -> list[list[str]]:
    return [[each["name"].rsplit(".", 1)[-1] for each in chain["filters"]] for chain in listener["filterChains"]]


@pytest.mark.parametrize(
    ("protocol", "network", "http"),
    [
        ("tcp", "tcp_proxy", None),
        ("tls", "tcp_proxy", None),
        ("http", "http_connection_manager", ["router"]),
        ("http2", "http_connection_manager", ["router"]),
        ("grpc", "http_connection_manager", ["grpc_stats", "router"]),
    ],
)
def test_an_inbound_is_served_by_its_protocol(protocol: str, network: str, http: list[str] | None) -> None:
    # The field is set behind the validator's back: what is stored already must never leave a proxy without config.
    proxy_resource = worlds.a_dataplane("d", "s", protocol=protocol)
    snapshot = compiled(picture(worlds.a_mesh(), proxy_resource), "d")
    listener = read(snapshot, xds.LISTENER)["inbound:192.168.0.1:8080"]
    assert filters(listener) == [[network]]
    if http is not None:
        made = listener["filterChains"][0]["filters"][0]["typedConfig"]["httpFilters"]
        assert [each["name"].rsplit(".", 1)[-1] for each in made] == http


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, ["kafka_broker", "tcp_proxy"]),
        ({proxy.LACKING: ["envoy.filters.network.kafka_broker"]}, ["tcp_proxy"]),
        ({proxy.LACKING: 7}, ["kafka_broker", "tcp_proxy"]),
    ],
)
def test_kafka_has_a_filter_where_envoy_knows_it(metadata: dict[str, Any], expected: list[str]) -> None:
    made = picture(worlds.a_mesh(), worlds.a_dataplane("d", "s", protocol="kafka", outbounds={"s": 10001}))
    listeners = read(compiled(made, "d", metadata), xds.LISTENER)
    assert (
        filters(listeners["inbound:192.168.0.1:8080"]) == filters(listeners["outbound:127.0.0.1:10001"]) == [expected]
    )


@pytest.mark.parametrize(
    ("mode", "chains"),
    [
        (None, [(None, False)]),
        ("STRICT", [(None, True)]),
        ("PERMISSIVE", [("raw_buffer", False), ("tls", False), ("tls", True)]),
    ],
)
def test_an_inbound_takes_what_the_mesh_allows(mode: str | None, chains: list[tuple[str | None, bool]]) -> None:
    mtls = {"mtls": {"enabledBackend": "b", "backends": [{"name": "b", "type": "builtin", "mode": mode}]}}
    snapshot = compiled(picture(worlds.a_mesh(**(mtls if mode else {})), worlds.a_dataplane("d", "s")), "d")
    listener = read(snapshot, xds.LISTENER)["inbound:192.168.0.1:8080"]
    found = [
        (each.get("filterChainMatch", {}).get("transportProtocol"), "transportSocket" in each)
        for each in listener["filterChains"]
    ]
    assert found == chains
    for each in listener["filterChains"]:
        names = [x["name"] for x in each["filters"][0]["typedConfig"]["httpFilters"]]
        assert ("envoy.filters.http.rbac" in names) == ("transportSocket" in each)


def test_clients_of_a_strict_mesh_speak_mutual_tls() -> None:
    web = worlds.a_dataplane("web", "web", outbounds={"api": 10001})
    api = worlds.a_dataplane("api", "api", address="192.168.0.2")
    snapshot = compiled(picture(worlds.a_mesh(mtls=worlds.BUILTIN), web, api), "web")
    context = read(snapshot, xds.CLUSTER)["api"]["transportSocket"]["typedConfig"]
    assert context["sni"] == "api{mesh=m}"
    sans = context["commonTlsContext"]["combinedValidationContext"]["defaultValidationContext"]
    assert sans["matchTypedSubjectAltNames"] == [{"sanType": "URI", "matcher": {"exact": "spiffe://m/api"}}]


def test_clients_of_a_permissive_mesh_wait_until_the_server_is_ready() -> None:
    permissive = {"enabledBackend": "b", "backends": [{"name": "b", "type": "builtin", "mode": "PERMISSIVE"}]}
    web = worlds.a_dataplane("web", "web", outbounds={"api": 10001})
    api = worlds.a_dataplane("api", "api", address="192.168.0.2")
    made = picture(worlds.a_mesh(mtls=permissive), web, api)
    assert "transportSocket" not in read(compiled(made, "web"), xds.CLUSTER)["api"]


def test_without_a_certificate_nothing_is_compiled_for_a_mesh_with_mutual_tls() -> None:
    made = picture(worlds.a_mesh(mtls=worlds.BUILTIN), worlds.a_dataplane("d", "s"))
    subject = proxy.facts_of(made.dataplanes["d"], {})
    compiler = compile.Compiler(worlds.POLICIES)
    with pytest.raises(compile.MissingIdentity):
        compiler.own(made, subject, compiler.match(made, subject), compile.Issued(), None)


def test_a_destination_nobody_offers_is_there_and_empty() -> None:
    web = worlds.a_dataplane("web", "web", outbounds={"nobody": 10001})
    snapshot = compiled(picture(worlds.a_mesh(), web), "web")
    assert read(snapshot, xds.ENDPOINT) == {"nobody": {"clusterName": "nobody"}}
    assert "outbound:127.0.0.1:10001" in read(snapshot, xds.LISTENER)


@pytest.mark.parametrize(
    ("address", "metadata", "listed"),
    [
        ("192.168.0.1", ADMIN, True),
        ("127.0.0.1", ADMIN, False),
        ("192.168.0.1", {}, False),
        ("192.168.0.1", {"dataplane.admin.port": "nonsense"}, False),
    ],
)
def test_the_admin_listener_needs_a_port_and_an_address_of_its_own(
    address: str, metadata: Mapping[str, str], listed: bool
) -> None:
    made = picture(worlds.a_mesh(), worlds.a_dataplane("d", "s", address=address))
    assert ("kuma:envoy:admin" in compiled(made, "d", metadata).of(xds.LISTENER)) == listed


class TestShapes:
    """Two replicas call one service."""

    def setup_method(self) -> None:
        self.world = worlds.world(
            [
                worlds.a_mesh(mtls=worlds.BUILTIN),
                worlds.a_dataplane("web-1", "web", outbounds={"api": 10001, "db": 10002}),
                worlds.a_dataplane("web-2", "web", address="192.168.0.2", outbounds={"api": 10001, "db": 10002}),
                worlds.a_dataplane("api-1", "api", address="192.168.0.3"),
                worlds.a_dataplane("db-1", "db", address="192.168.0.4", protocol="tcp"),
            ]
        )
        self.compiler = compile.Compiler(worlds.POLICIES)
        self.shape = self.shape_of("web-1")

    @property
    def picture(self) -> view.MeshView:
        return self.world.meshes["m"]

    def subject(self, name: str) -> proxy.ProxyFacts:
        return proxy.facts_of(self.picture.dataplanes[name], {})

    def shape_of(self, name: str, before: shapes.Shape | None = None) -> shapes.Shape:
        subject = self.subject(name)
        return self.compiler.shape(self.picture, subject, self.compiler.match(self.picture, subject), before)

    def change(self, resource: res.Resource[Any]) -> shapes.Shape:
        self.world, _ = self.world.advance([view.Edit(resource)])
        return self.shape_of("web-1", self.shape)

    def test_replicas_share_it(self) -> None:
        subjects = [self.subject(name) for name in ("web-1", "web-2")]
        said = [self.compiler.match(self.picture, each) for each in subjects]
        one, two = (compile.shape_key(self.picture, each, about) for each, about in zip(subjects, said, strict=True))
        assert one == two
        other = self.shape_of("web-2", self.shape)
        assert all(other.sets[kind] is self.shape.sets[kind] for kind in self.shape.sets)

    def test_a_new_endpoint_renders_one_assignment(self) -> None:
        after = self.change(worlds.a_dataplane("api-2", "api", address="192.168.0.5"))
        assert after.sets[xds.LISTENER] is self.shape.sets[xds.LISTENER]
        assert after.sets[xds.CLUSTER] is self.shape.sets[xds.CLUSTER]
        assert after.sets[xds.ENDPOINT]["db"] is self.shape.sets[xds.ENDPOINT]["db"]
        assert after.sets[xds.ENDPOINT]["api"] != self.shape.sets[xds.ENDPOINT]["api"]

    def test_endpoints_alone_are_put_into_it(self) -> None:
        self.world, touched = self.world.advance([view.Edit(worlds.a_dataplane("api-2", "api", address="192.168.0.5"))])
        services = {each for _, each in touched.services}
        made = self.compiler.nodes_built
        after = self.compiler.with_endpoints(self.picture, self.subject("web-1"), self.shape, services, ())
        assert after is not None
        assert self.compiler.nodes_built == made + 1
        assert after.sets == self.shape_of("web-1").sets
        assert after.sets[xds.LISTENER] is self.shape.sets[xds.LISTENER]
        assert after.sets[xds.ENDPOINT] != self.shape.sets[xds.ENDPOINT]
        assert self.compiler.with_endpoints(self.picture, self.subject("web-1"), after, {"db"}, ()).sets == after.sets

    def test_a_destination_that_looks_different_needs_more_than_endpoints(self) -> None:
        other = worlds.a_dataplane("db-1", "db", address="192.168.0.4", protocol="http")
        self.world, _ = self.world.advance([view.Edit(other)])
        assert self.compiler.with_endpoints(self.picture, self.subject("web-1"), self.shape, {"db"}, ()) is None

    def test_a_permission_leaves_it_alone(self) -> None:
        after = self.change(worlds.a_permission("p", ({}, "Allow")))
        assert all(after.sets[kind] is self.shape.sets[kind] for kind in self.shape.sets)

    def test_another_protocol_renders_listener_and_cluster_again(self) -> None:
        after = self.change(worlds.a_dataplane("db-1", "db", address="192.168.0.4", protocol="http"))
        changed = {name for kind in after.sets for name in after.sets[kind]} - {
            name
            for kind in after.sets
            for name, each in after.sets[kind].items()
            if self.shape.sets[kind][name] is each
        }
        assert changed == {"db", "outbound:127.0.0.1:10002"}


def test_a_resource_knows_who_shaped_it() -> None:
    permission = worlds.a_permission("p", ({}, "Allow"))
    made = picture(worlds.a_mesh(mtls=worlds.BUILTIN), worlds.a_dataplane("d", "s"), permission)
    subject = proxy.facts_of(made.dataplanes["d"], {})
    compiler = compile.Compiler(worlds.POLICIES)
    own = compiler.own(made, subject, compiler.match(made, subject), IDENTITY, None)
    authors = own.authors[xds.LISTENER, "inbound:192.168.0.1:8080"]
    assert [(each.kind, each.name) for each in authors] == [
        ("Dataplane", "d"),
        ("Mesh", "m"),
        ("MeshTrafficPermission", "p"),
    ]


def test_transparent_proxying_adds_passthrough_and_unbinds() -> None:
    redirected = {
        "transparentProxy": {
            "ipFamilyMode": "ipv4",
            "redirect": {"inbound": {"port": 15006}, "outbound": {"port": 15001}},
        },
        "features": ["feature-strict-inbound-ports"],
    }
    service = worlds.resource({"type": "MeshService", "name": "api", "spec": {"ports": [{"port": 80}]}})
    service = dataclasses.replace(service, status=meshservice.MeshServiceStatus(vips=(statuses.Vip(ip="241.0.0.1"),)))
    everywhere = worlds.a_mesh(mtls=worlds.BUILTIN, meshServices={"mode": "Everywhere"})
    made = picture(everywhere, service, worlds.a_dataplane("d", "s", outbounds={"s": 10001}))
    listeners = read(compiled(made, "d", redirected), xds.LISTENER)
    assert listeners["inbound:192.168.0.1:8080"]["bindToPort"] is False
    assert "outbound:127.0.0.1:10001" not in listeners  # nothing but virtual addresses reaches the proxy
    assert listeners["outbound:241.0.0.1:80"]["bindToPort"] is False
    assert listeners["outbound:passthrough:ipv4"]["useOriginalDst"] is True
    strict = listeners["inbound:passthrough:ipv4"]["filterChains"]
    assert [each["filterChainMatch"] for each in strict] == [{"destinationPort": 8080}]


def test_private_keys_are_never_printed() -> None:
    assert "secret" not in repr(compile.Identity(b"cert", b"secret", b"roots"))
    assert "secret" not in repr(admin.AdminCertificate(b"cert", b"secret", b"ca"))


def test_a_mesh_may_forbid_passthrough() -> None:
    redirected = {"transparentProxy": {"redirect": {"outbound": {"port": 15001}}}}
    closed = worlds.a_mesh(networking={"outbound": {"passthrough": False}})
    clusters = read(compiled(picture(closed, worlds.a_dataplane("d", "s")), "d", redirected), xds.CLUSTER)
    assert "outbound:passthrough:ipv4" not in clusters


@pytest.mark.parametrize("can_share", [True, False])
def test_ports_are_shared_by_old_and_new_envoys_where_the_agent_can(can_share: bool) -> None:
    flows = {"redirect": {"inbound": {"port": 15006}, "outbound": {"port": 15001}}}
    metadata = {**ADMIN, "transparentProxy": flows, "features": [proxy.REUSE_PORT] if can_share else []}
    snapshot = compiled(picture(worlds.a_mesh(), worlds.a_dataplane("d", "s")), "d", metadata)
    listeners = read(snapshot, xds.LISTENER)
    for name in ("inbound:192.168.0.1:8080", "kuma:envoy:admin", "inbound:passthrough:ipv4"):
        assert listeners[name]["enableReusePort"] is can_share


def test_without_ipv6_nothing_of_it_is_trusted() -> None:
    snapshot = compiled(picture(worlds.a_mesh(), worlds.a_dataplane("d", "s")), "d", {**ADMIN, "ipv6Enabled": False})
    for listener in read(snapshot, xds.LISTENER).values():
        for chain in listener["filterChains"]:
            manager = chain["filters"][0]["typedConfig"]
            trusted = [each["addressPrefix"] for each in manager["internalAddressConfig"]["cidrRanges"]]
            assert trusted
            assert not any(":" in each for each in trusted)
