"""Issuing and checking tokens over a real store: whose token opens what, keys that come and go, revocation."""

import dataclasses
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from kuma.base import durations, errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import secret
from kuma.security import keys, users
from kuma.services.trust import signing_keys, tokens
from kuma.store import memory

HOUR = durations.HOUR
OTHER = keys.new_rsa()
PURPOSES = (signing_keys.dataplane("default"), signing_keys.dataplane("other"), signing_keys.USER, signing_keys.ZONE)
MADE = [keys.to_pem(keys.new_rsa()) for _ in PURPOSES]
"""Keys made once for all tests: finding one takes longer than any of them."""


class World:
    """A store with two meshes that have keys, a clock that can be moved, an issuer and a validator."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)
        self.store = memory.MemoryStore()
        self.keys = signing_keys.SigningKeys(self.store)
        self.issuer = tokens.TokenIssuer(self.keys, lambda: self.now)
        self.validator = tokens.TokenValidator(self.keys, lambda: self.now)

    async def put(self, key: res.Key, data: bytes) -> None:
        kind = secret.KIND if key.mesh else secret.GLOBAL_KIND
        await self.store.create(res.Resource(kind, res.Meta(key.mesh, key.name), secret.Secret(data=data)))

    async def write(self, key: res.Key, data: bytes) -> None:
        held = await self.store.get(key)
        await self.store.update(dataclasses.replace(held, spec=secret.Secret(data=data)))


@pytest.fixture
async def world() -> World:
    made = World()
    for name in ("default", "other"):
        await made.store.create(res.Resource(meshes.KIND, res.Meta("", name), meshes.Mesh()))
    for purpose, pem in zip(PURPOSES, MADE, strict=True):
        await made.put(purpose.signing_key(1), pem)
    return made


def _proxy(name: str = "web-1", mesh: str = "default", workload: str = "") -> res.Resource[dataplanes.Dataplane]:
    spec = dataplanes.Dataplane(
        networking=dataplanes.Networking(
            address="127.0.0.1",
            inbound=(
                dataplanes.Inbound(port=80, tags={"kuma.io/service": "web", "version": "1"}),
                dataplanes.Inbound(port=81, tags={"kuma.io/service": "web-admin", "version": "1"}),
            ),
        )
    )
    labels = {"kuma.io/workload": workload} if workload else {}
    return res.Resource(dataplanes.KIND, res.Meta(mesh, name, labels), spec)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"name": "web-1"},
        {"proxy_type": "dataplane"},
        {"tags": {"kuma.io/service": ["web", "web-admin"]}},
        {"tags": {"kuma.io/service": ["web", "web-admin", "api"], "version": ["1", "2"]}},
        {"workload": "shop"},
    ],
)
async def test_dataplane_tokens_that_fit(world: World, claims):
    token = await world.issuer.dataplane("default", valid_for=HOUR, **claims)
    await world.validator.validate_dataplane(token, _proxy(workload="shop"))


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"name": "web-2"}, 'token is for the proxy "web-2", not for "web-1"'),
        ({"proxy_type": "ingress"}, 'token is for proxies of type "ingress", not for a Dataplane'),
        (
            {"tags": {"kuma.io/service": ["web"]}},
            'token does not allow the value "web-admin" of the tag "kuma.io/service"',
        ),
        ({"tags": {"kuma.io/service": []}}, 'token does not allow the value "web" of the tag "kuma.io/service"'),
        ({"tags": {"team": ["a"]}}, 'token is for proxies with the tag "team", which this one does not have'),
        ({"workload": "bank"}, 'token is for the workload "bank", not for "shop"'),
    ],
)
async def test_dataplane_tokens_that_do_not_fit(world: World, claims, text: str):
    token = await world.issuer.dataplane("default", valid_for=HOUR, **claims)
    with pytest.raises(errors.Unauthenticated) as refusal:
        await world.validator.validate_dataplane(token, _proxy(workload="shop"))
    assert str(refusal.value) == text


async def test_a_token_of_a_workload_needs_the_label(world: World):
    token = await world.issuer.dataplane("default", workload="shop", valid_for=HOUR)
    with pytest.raises(errors.Unauthenticated, match='not for ""'):
        await world.validator.validate_dataplane(token, _proxy())


async def test_tokens_of_another_mesh_zone_or_user_are_foreign(world: World):
    foreign = [
        await world.issuer.dataplane("other", valid_for=HOUR),
        await world.issuer.user("bob", [], HOUR),
        await world.issuer.zone("default", ["ingress"], HOUR),
    ]
    for token in foreign:
        with pytest.raises(errors.Unauthenticated, match="signature is invalid"):
            await world.validator.validate_dataplane(token, _proxy())


async def test_a_token_that_names_another_mesh_is_refused_even_with_the_right_key(world: World):
    """Keys are per mesh, so this takes the same configured key for two of them."""
    shared = tokens.ValidatorConfig(
        use_secrets=False,
        public_keys=[tokens.OfflineKey("k", OTHER.public_key(), each) for each in ("default", "other")],
    )
    validator = tokens.TokenValidator(world.keys, lambda: world.now, dataplane=shared)
    token = jwt.encode({"Mesh": "other"}, OTHER, algorithm="RS256", headers={"kid": "k"})
    await validator.validate_dataplane(token, _proxy(mesh="other"))
    with pytest.raises(errors.Unauthenticated, match='token is for the mesh "other", not for "default"'):
        await validator.validate_dataplane(token, _proxy())


async def test_user_tokens(world: World):
    token = await world.issuer.user("bob", ["team"], HOUR)
    assert await world.validator.validate_user(token) == users.User("bob", ("team", "mesh-system:authenticated"))


async def test_zone_tokens(world: World):
    token = await world.issuer.zone("east", ["ingress"], HOUR)
    await world.validator.validate_zone(token, "east", "ingress")
    with pytest.raises(errors.Unauthenticated, match='scope does not include "egress"'):
        await world.validator.validate_zone(token, "east", "egress")
    with pytest.raises(errors.Unauthenticated, match='for zone "east", not for "west"'):
        await world.validator.validate_zone(token, "west", "ingress")


async def test_expiry(world: World):
    token = await world.issuer.user("bob", [], HOUR)
    forever = await world.issuer.dataplane("default")
    world.now += timedelta(hours=1, seconds=1)
    with pytest.raises(errors.Unauthenticated, match="expired"):
        await world.validator.validate_user(token)
    world.now += timedelta(days=3640)
    await world.validator.validate_dataplane(forever, _proxy())
    world.now += timedelta(days=10)
    with pytest.raises(errors.Unauthenticated, match="expired"):
        await world.validator.validate_dataplane(forever, _proxy())


async def test_a_negative_lifetime_is_over_at_once(world: World):
    token = await world.issuer.dataplane("default", valid_for=-HOUR)
    with pytest.raises(errors.Unauthenticated, match="expired"):
        await world.validator.validate_dataplane(token, _proxy())


@pytest.mark.parametrize("purpose", [signing_keys.dataplane("default"), signing_keys.USER])
async def test_revocation_is_in_force_with_the_next_check(world: World, purpose: signing_keys.Purpose):
    async def check() -> None:
        if purpose.mesh:
            await world.validator.validate_dataplane(token, _proxy())
        else:
            await world.validator.validate_user(token)

    if purpose.mesh:
        token = await world.issuer.dataplane("default", valid_for=HOUR)
    else:
        token = await world.issuer.user("bob", [], HOUR)
    jti = jwt.decode(token, options={"verify_signature": False})["jti"]
    await check()
    await world.put(purpose.revocations, b"something-else")
    await check()
    await world.write(purpose.revocations, f"something-else,{jti}\n".encode())
    with pytest.raises(errors.Unauthenticated, match="token is revoked"):
        await check()
    await world.write(purpose.revocations, b"")
    await check()


def test_names_of_secrets():
    shop = signing_keys.dataplane("shop")
    assert shop.signing_key(2) == ("Secret", "shop", "dataplane-token-signing-key-shop-2")
    assert shop.signing_key(0) == ("Secret", "shop", "dataplane-token-signing-key-shop")
    assert shop.revocations == ("Secret", "shop", "dataplane-token-revocations-shop")
    assert signing_keys.USER.signing_key(1) == ("GlobalSecret", "", "user-token-signing-key-1")
    assert signing_keys.USER.revocations == ("GlobalSecret", "", "user-token-revocations")
    assert signing_keys.ZONE.public_key(1) == ("GlobalSecret", "", "zone-token-signing-public-key-1")


async def test_a_first_key_is_made_once_and_goes_with_its_mesh(world: World):
    key = signing_keys.dataplane("default").signing_key(1)
    await world.store.delete(key)
    await world.keys.ensure(signing_keys.dataplane("default"))
    held = await world.store.get(key)
    assert held.spec.data.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert keys.load_signing(held.spec.data).key_size == 2048
    await world.keys.ensure(signing_keys.dataplane("default"))
    assert await world.store.get(key) == held
    await world.store.delete(res.Key("Mesh", "", "default"))
    with pytest.raises(errors.NotFound):
        await world.store.get(key)
    with pytest.raises(errors.NotFound, match="Signing Key not found"):
        await world.issuer.dataplane("default")


async def test_rotation_of_keys(world: World):
    """The highest number signs (10 after 9), every key verifies, and tokens of a deleted key are void."""
    purpose = signing_keys.USER
    old = await world.issuer.user("bob", [], HOUR)
    for serial in (9, 10):
        await world.put(purpose.signing_key(serial), keys.to_pem(OTHER))
    new = await world.issuer.user("bob", [], HOUR)
    assert jwt.get_unverified_header(new)["kid"] == "10"
    await world.validator.validate_user(old)
    await world.validator.validate_user(new)
    await world.store.delete(purpose.signing_key(1))
    await world.validator.validate_user(new)
    with pytest.raises(errors.Unauthenticated, match="there is no key"):
        await world.validator.validate_user(old)


async def test_a_replaced_key_voids_its_tokens_at_once(world: World):
    token = await world.issuer.user("bob", [], HOUR)
    await world.validator.validate_user(token)
    await world.write(signing_keys.USER.signing_key(1), keys.to_pem(OTHER))
    with pytest.raises(errors.Unauthenticated, match="signature is invalid"):
        await world.validator.validate_user(token)
    await world.validator.validate_user(await world.issuer.user("bob", [], HOUR))


async def test_a_damaged_key_is_no_key(world: World):
    token = await world.issuer.user("bob", [], HOUR)
    await world.write(signing_keys.USER.signing_key(1), b"nonsense")
    with pytest.raises(errors.Unauthenticated, match="there is no key"):
        await world.validator.validate_user(token)
    with pytest.raises(errors.Unavailable, match="user-token-signing-key-1"):
        await world.issuer.user("bob", [], HOUR)


@pytest.mark.parametrize("kid", ["1 ", "-1", "\u0661", "9" * 40, "../1", "1-1", "x"])
async def test_key_ids_that_name_no_secret(world: World, kid: str):
    assert await world.keys.public_key(signing_keys.USER, kid) is None


async def test_a_zone_verifies_with_the_public_key_it_was_given(world: World):
    token = await world.issuer.zone("east", ["ingress"], HOUR)
    private = await world.keys.signing_key(signing_keys.ZONE)
    await world.store.delete(signing_keys.ZONE.signing_key(1))
    await world.put(signing_keys.ZONE.public_key(1), keys.public_pem(private.private.public_key()))
    await world.validator.validate_zone(token, "east", "ingress")


async def test_tokens_of_old_versions(world: World):
    legacy = b"an old secret that is long enough for HMAC"
    await world.put(signing_keys.dataplane("default").signing_key(0), legacy)
    token = jwt.encode({"Name": "web-1", "Mesh": "default"}, legacy, algorithm="HS256", headers={"kid": "0"})
    await world.validator.validate_dataplane(token, _proxy())
    forged = jwt.encode({"Name": "web-1"}, legacy + b"x", algorithm="HS256", headers={"kid": "0"})
    with pytest.raises(errors.Unauthenticated, match="signature is invalid"):
        await world.validator.validate_dataplane(forged, _proxy())


async def test_configured_keys_with_and_without_secrets(world: World):
    offline = [tokens.OfflineKey("ci", OTHER.public_key())]
    token = jwt.encode({"Name": "ci"}, OTHER, algorithm="RS256", headers={"kid": "ci"})
    own = await world.issuer.user("bob", [], HOUR)
    both = tokens.TokenValidator(world.keys, lambda: world.now, user=tokens.ValidatorConfig(True, offline))
    alone = tokens.TokenValidator(world.keys, lambda: world.now, user=tokens.ValidatorConfig(False, offline))
    for validator in (both, alone):
        assert (await validator.validate_user(token)).name == "ci"
    assert (await both.validate_user(own)).name == "bob"
    with pytest.raises(errors.Unauthenticated, match="there is no key"):
        await alone.validate_user(own)


async def test_an_issuer_can_be_switched_off(world: World):
    issuer = tokens.TokenIssuer(world.keys, lambda: world.now, frozenset({"dataplane"}))
    await issuer.user("bob", [], HOUR)
    with pytest.raises(errors.BadRequest, match="issuing tokens using the control plane is disabled"):
        await issuer.dataplane("default")


async def test_the_admin_token_is_made_once(world: World):
    await tokens.ensure_admin_token(world.store, world.issuer)
    held = await world.store.get(tokens.ADMIN_TOKEN)
    assert await world.validator.validate_user(held.spec.data.decode()) == users.ADMIN
    await tokens.ensure_admin_token(world.store, world.issuer)
    assert await world.store.get(tokens.ADMIN_TOKEN) == held
