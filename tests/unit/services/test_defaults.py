"""What exists without anybody asking, and that it is finished after any interruption."""

from typing import Any

import pytest

from kuma.resources import resource as res
from kuma.resources.kinds import mesh, secret
from kuma.services.defaults import starting as defaults
from kuma.services.rules import role as roles
from kuma.store import protocol
from tests.kit import api as kit

GLOBAL_SECRETS = [
    "admin-user-token",
    "envoy-admin-ca",
    "inter-cp-ca",
    "user-token-signing-key-1",
    "zone-token-signing-key-1",
]
BUILTIN = mesh.Mtls(enabled_backend="ca-1", backends=(mesh.CertificateAuthorityBackend(name="ca-1", type="builtin"),))
OWN_SECRETS = ["dataplane-token-signing-key-shop-1", "shop.ca-builtin-cert-ca-1", "shop.ca-builtin-key-ca-1"]


async def names(api: kit.Api, kind: str, mesh_name: str | None = None) -> list[str]:
    declared = api.catalog.find(kind)
    assert declared is not None
    return [each.meta.name for each in await api.store.list(declared, mesh_name)]


async def test_a_fresh_zone() -> None:
    api = kit.build()
    await api.defaults.ensure_started()
    assert await names(api, "GlobalSecret") == GLOBAL_SECRETS
    assert await names(api, "Mesh") == ["default"]
    assert await names(api, "Secret") == ["dataplane-token-signing-key-default-1"]
    found = await api.store.get(res.Key("GlobalSecret", "", "inter-cp-ca"))
    assert dict(found.meta.labels) == {}
    assert b"BEGIN CERTIFICATE" in found.spec.data
    assert b"PRIVATE KEY" in found.spec.data


async def test_starting_again_changes_nothing() -> None:
    api = kit.build()
    await api.defaults.ensure_started()
    before = api.store.revision()
    await api.defaults.ensure_started()
    assert api.store.revision() == before


@pytest.mark.parametrize(
    ("role", "wanted", "secrets", "meshes"),
    [
        (
            roles.Role(mode=roles.Mode.GLOBAL),
            defaults.Settings(),
            [each for each in GLOBAL_SECRETS if each != "envoy-admin-ca"],
            ["default"],
        ),
        (
            roles.Role(federated=True),
            defaults.Settings(),
            [each for each in GLOBAL_SECRETS if each != "zone-token-signing-key-1"],
            [],
        ),
        (roles.Role(), defaults.Settings(skip_mesh_creation=True), GLOBAL_SECRETS, []),
        (roles.Role(), defaults.Settings(skip_tenant_resources=True), [], []),
        (
            roles.Role(),
            defaults.Settings(bootstrap_admin_token=False),
            [each for each in GLOBAL_SECRETS if each != "admin-user-token"],
            ["default"],
        ),
        (
            roles.Role(),
            defaults.Settings(user_tokens=False),
            ["envoy-admin-ca", "inter-cp-ca", "zone-token-signing-key-1"],
            ["default"],
        ),
    ],
)
async def test_what_is_created_where(
    role: roles.Role, wanted: defaults.Settings, secrets: list[str], meshes: list[str]
) -> None:
    api = kit.build(role, wanted=wanted)
    await api.defaults.ensure_started()
    assert await names(api, "GlobalSecret") == secrets
    assert await names(api, "Mesh") == meshes


@pytest.mark.parametrize(("with_routing", "expected"), [(True, ["allow-all-shop"]), (False, [])])
async def test_default_policies_of_a_new_mesh(with_routing: bool, expected: list[str]) -> None:
    api = kit.build(wanted=defaults.Settings(create_mesh_routing_resources=with_routing))
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop"})
    assert await names(api, "TrafficPermission") == expected
    if expected:
        found = await api.get("/meshes/shop/traffic-permissions/allow-all-shop")
        assert found["labels"] == {"kuma.io/mesh": "shop"}
        assert found["sources"] == found["destinations"] == [{"match": {"kuma.io/service": "*"}}]


@pytest.mark.parametrize("skipped", ["*", "TrafficPermission"])
async def test_a_mesh_may_skip_them(skipped: str) -> None:
    api = kit.build(wanted=defaults.Settings(create_mesh_routing_resources=True))
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop", "skipCreatingInitialPolicies": [skipped]})
    assert await names(api, "TrafficPermission") == []
    assert await names(api, "Secret", "shop") == ["dataplane-token-signing-key-shop-1"]


class Killed(Exception):
    """The control plane ended here."""


class Mortal:
    """A store that lets a number of writes through and then ends the process."""

    def __init__(self, store: protocol.Store, writes: int) -> None:
        self._store = store
        self._left = writes

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def _count(self) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1

    async def create(self, resource: res.Resource[Any], owner: res.Key | None = None) -> res.Resource[Any]:
        self._count()
        return await self._store.create(resource, owner)

    async def apply(self, changes: Any) -> None:
        self._count()
        await self._store.apply(changes)


@pytest.mark.parametrize("writes", range(3))
async def test_an_interrupted_creation_is_finished_at_the_next_start(writes: int) -> None:
    wanted = defaults.Settings(create_mesh_routing_resources=True, skip_mesh_creation=True)
    api = kit.build(wanted=wanted)
    stored = await api.store.create(res.Resource(mesh.KIND, res.Meta("", "shop"), mesh.Mesh(mtls=BUILTIN)))
    dying = kit.build(wanted=wanted, store=Mortal(api.store, writes))
    with pytest.raises(Killed):
        await dying.defaults.furnish(stored)
    await api.defaults.ensure_started()
    assert await names(api, "Secret", "shop") == OWN_SECRETS
    assert await names(api, "TrafficPermission") == ["allow-all-shop"]


async def test_defaults_that_were_deleted_stay_deleted() -> None:
    api = kit.build(wanted=defaults.Settings(create_mesh_routing_resources=True))
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop"})
    await api.call("DELETE", "/meshes/shop/traffic-permissions/allow-all-shop")
    await api.defaults.ensure_started()
    assert "allow-all-shop" not in await names(api, "TrafficPermission", "shop")


async def test_a_lost_authority_is_made_anew() -> None:
    api = kit.build()
    await api.put("/meshes/shop", {"type": "Mesh", "name": "shop"})
    found = await api.store.get(res.Key("Mesh", "", "shop"))
    await api.store.update(res.Resource(mesh.KIND, found.meta, mesh.Mesh(mtls=BUILTIN)))
    await api.defaults.ensure_started()
    assert await names(api, secret.KIND.name, "shop") == OWN_SECRETS
