"""Signing keys of tokens, kept as secrets: finding the one that signs, and any that may have signed.

Names follow Kuma: `dataplane-token-signing-key-<mesh>-<serial>` as Secret of the mesh, `user-token-signing-key-<serial>`
and `zone-token-signing-key-<serial>` as GlobalSecrets. The highest serial number signs, every one verifies, so a key
is rotated by adding the next and removing the old one later. Stores answer `get` from memory, so nothing is copied
here but the parsed keys, each good for one version of its secret: a change is in force with the next token.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from kuma.base import errors
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import mesh as meshes
from kuma.resources.kinds import secret
from kuma.security import keys, tokens
from kuma.store import protocol

NO_KEY = "Signing Key not found"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What keys are for: `user`, `zone`, or `dataplane` of a mesh. Names every secret that belongs to it."""

    token: str
    mesh: str = ""

    @property
    def kind(self) -> kinds.Kind[secret.Secret]:
        """Where its secrets live."""
        return secret.KIND if self.mesh else secret.GLOBAL_KIND

    def signing_key(self, serial: int) -> res.Key:
        """The key of a serial number; 0 is the one that oldest versions made, without a number in its name."""
        name = f"{self.token}-token-signing-key{self._suffix}"
        return self._key(f"{name}-{serial}" if serial else name)

    def public_key(self, serial: int) -> res.Key:
        """Its public half, as a zone gets it from the global control plane."""
        return self._key(f"{self.token}-token-signing-public-key{self._suffix}-{serial}")

    @property
    def revocations(self) -> res.Key:
        """The list of withdrawn tokens."""
        return self._key(f"{self.token}-token-revocations{self._suffix}")

    @property
    def _suffix(self) -> str:
        return f"-{self.mesh}" if self.mesh else ""

    def _key(self, name: str) -> res.Key:
        return res.Key(self.kind.name, self.mesh, name)


USER = Purpose("user")
ZONE = Purpose("zone")


def dataplane(mesh: str) -> Purpose:
    """Keys of the dataplane tokens of one mesh."""
    return Purpose("dataplane", mesh)


class SigningKeys:
    """Reads and makes signing keys in a store."""

    def __init__(self, store: protocol.Store) -> None:
        self._store = store
        self._public: dict[res.Key, tuple[int, rsa.RSAPublicKey]] = {}
        self._private: dict[res.Key, tuple[int, rsa.RSAPrivateKey]] = {}

    async def ensure(self, purpose: Purpose) -> None:
        """Makes key 1 where there is no key yet; a key of a mesh goes with its Mesh.

        NotFound where the mesh is absent. Safe when several control planes do it at once.
        """
        if await self._highest(purpose) is not None:
            return
        private = await asyncio.to_thread(keys.new_rsa)
        key = purpose.signing_key(1)
        value = res.Resource(
            purpose.kind, res.Meta(mesh=key.mesh, name=key.name), secret.Secret(data=keys.to_pem(private))
        )
        owner = res.Key(meshes.KIND.name, "", purpose.mesh) if purpose.mesh else None
        try:
            await self._store.create(value, owner)
        except errors.AlreadyExists:
            return  # another control plane was faster, and its key is as good

    async def signing_key(self, purpose: Purpose) -> tokens.SigningKey:
        """The key that signs now; NotFound where there is none (an unknown mesh has none either)."""
        newest = await self._highest(purpose)
        if newest is None:
            raise errors.NotFound(NO_KEY)
        serial, held = newest
        known = self._private.get(held.key)
        if known is None or known[0] != held.meta.version:
            known = (held.meta.version, _private_of(held))
            self._private[held.key] = known
        return tokens.SigningKey(str(serial), known[1])

    async def public_key(self, purpose: Purpose, kid: str) -> rsa.RSAPublicKey | None:
        """The key that a token's `kid` names, or None; NotFound never. A damaged secret counts as no key."""
        if not kid.isascii() or not kid.isdigit() or len(kid) > 18:
            return None
        serial = int(kid)
        for key in (purpose.signing_key(serial), purpose.public_key(serial)):
            held = await self._find(key)
            if held is None:
                continue
            known = self._public.get(key)
            if known is None or known[0] != held.meta.version:
                parsed = _public_of(held)
                if parsed is None:
                    continue
                known = (held.meta.version, parsed)
                self._public[key] = known
            return known[1]
        return None

    async def legacy_key(self, purpose: Purpose) -> bytes | None:
        """The bytes of the key without a serial number, which HS256 tokens were signed with; None where absent."""
        held = await self._find(purpose.signing_key(0))
        return held.spec.data if held else None

    async def is_revoked(self, purpose: Purpose, jti: str) -> bool:
        """Whether the list of withdrawn tokens, as it is now, has this id."""
        held = await self._find(purpose.revocations)
        return held is not None and jti in tokens.parse_revocations(held.spec.data)

    async def _find(self, key: res.Key) -> res.Resource[secret.Secret] | None:
        try:
            return await self._store.get(key)
        except errors.NotFound:
            return None

    async def _highest(self, purpose: Purpose) -> tuple[int, res.Resource[Any]] | None:
        prefix = purpose.signing_key(0).name + "-"
        newest: tuple[int, res.Resource[Any]] | None = None
        for each in await self._store.list(purpose.kind, purpose.mesh or None):
            serial = each.meta.name.removeprefix(prefix)
            if each.meta.name.startswith(prefix) and serial.isascii() and serial.isdigit():
                number = int(serial)
                if number > (newest[0] if newest else 0):
                    newest = (number, each)
        return newest


def _private_of(held: res.Resource[secret.Secret]) -> rsa.RSAPrivateKey:
    try:
        return keys.load_signing(held.spec.data)
    except ValueError as failure:
        raise errors.Unavailable(f'signing key "{held.meta.name}" cannot be used: {failure}') from None


def _public_of(held: res.Resource[secret.Secret]) -> rsa.RSAPublicKey | None:
    for read in (lambda data: keys.load_signing(data).public_key(), keys.load_public):
        try:
            return read(held.spec.data)
        except ValueError:
            continue  # the other half may be what is stored
    return None
