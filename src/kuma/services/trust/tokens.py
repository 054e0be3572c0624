"""Issuing and checking the tokens of proxies, zones and users: what the claims mean for whom.

Signatures, times and revocation are `security.tokens`' work; keys come from `signing_keys`. A revoked token is refused
from the next check on. Streams that it opened before stay open until they end: a check is made when one opens.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from kuma.base import durations, errors, labels
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.resources.kinds import secret
from kuma.security import tokens, users, workloads
from kuma.services.trust import signing_keys
from kuma.store import protocol

ADMIN_TOKEN = res.Key(secret.GLOBAL_KIND.name, "", "admin-user-token")
PROXY_TYPES = ("dataplane", "ingress", "egress")

_DISABLED = "issuing tokens using the control plane is disabled"
_DATAPLANE_TYPES = ("", "dataplane")


@dataclass(frozen=True, slots=True)
class OfflineKey:
    """A configured public key: verifies tokens that were signed elsewhere. `mesh` is empty but for dataplane tokens."""

    kid: str
    key: rsa.RSAPublicKey
    mesh: str = ""


@dataclass(frozen=True, slots=True)
class ValidatorConfig:
    """Where keys of one kind of token come from: the store's secrets, configured public keys, or both."""

    use_secrets: bool = True
    public_keys: Sequence[OfflineKey] = field(default=())


class TokenIssuer:
    """Signs tokens. `disabled` names the kinds (`dataplane`, `zone`, `user`) that this control plane refuses to issue.

    Lifetimes are nanoseconds; zero and negative ones give a token that is expired already, as in Kuma.
    Every method raises NotFound where there is no signing key, and BadRequest where its kind is disabled.
    """

    def __init__(
        self, keys: signing_keys.SigningKeys, clock: tokens.Clock, disabled: frozenset[str] = frozenset()
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._disabled = disabled

    async def dataplane(
        self,
        mesh: str,
        name: str = "",
        tags: Mapping[str, Iterable[str]] | None = None,
        proxy_type: str = "",
        workload: str = "",
        valid_for: int | None = None,
    ) -> str:
        """A token for the Dataplanes of a mesh that have this name, these tags and this workload, where given."""
        allowed = {tag: list(values) for tag, values in (tags or {}).items()}
        claims = tokens.DataplaneClaims(name=name, mesh=mesh, tags=allowed, type=proxy_type, workload=workload)
        return await self._sign(claims, signing_keys.dataplane(mesh), valid_for)

    async def zone(self, zone: str, scope: Sequence[str], valid_for: int | None = None) -> str:
        """A token for the zone proxies of a zone; `scope` has `ingress`, `egress` or both."""
        return await self._sign(tokens.ZoneClaims(zone=zone, scope=list(scope)), signing_keys.ZONE, valid_for)

    async def user(self, name: str, groups: Sequence[str], valid_for: int) -> str:
        """A token for a user of the API server."""
        return await self._sign(tokens.UserClaims(name=name, groups=list(groups)), signing_keys.USER, valid_for)

    async def _sign(
        self,
        claims: tokens.DataplaneClaims | tokens.ZoneClaims | tokens.UserClaims,
        purpose: signing_keys.Purpose,
        valid_for: int | None,
    ) -> str:
        if purpose.token in self._disabled:
            raise errors.BadRequest(_DISABLED)
        lifetime = tokens.DEFAULT_LIFETIME if valid_for is None else timedelta(microseconds=valid_for / 1000)
        return tokens.sign(claims, await self._keys.signing_key(purpose), self._clock(), lifetime)


class _Keyring:
    """The keys of one purpose, as `security.tokens` asks for them: configured ones first, then those in the store."""

    def __init__(self, purpose: signing_keys.Purpose, keys: signing_keys.SigningKeys, config: ValidatorConfig) -> None:
        self._purpose = purpose
        self._keys = keys
        self._config = config

    async def public_key(self, kid: str) -> rsa.RSAPublicKey | None:
        for each in self._config.public_keys:
            if each.kid == kid and each.mesh == self._purpose.mesh:
                return each.key
        return await self._keys.public_key(self._purpose, kid) if self._config.use_secrets else None

    async def legacy_key(self) -> bytes | None:
        return await self._keys.legacy_key(self._purpose) if self._config.use_secrets else None

    async def is_revoked(self, jti: str) -> bool:
        return await self._keys.is_revoked(self._purpose, jti)


class TokenValidator:
    """Checks tokens. Every method raises Unauthenticated, in words that name what is wrong and never show the token."""

    def __init__(
        self,
        keys: signing_keys.SigningKeys,
        clock: tokens.Clock,
        dataplane: ValidatorConfig = ValidatorConfig(),
        zone: ValidatorConfig = ValidatorConfig(),
        user: ValidatorConfig = ValidatorConfig(),
        names_workload: Callable[[res.Resource[dataplanes.Dataplane]], Awaitable[bool]] | None = None,
    ) -> None:
        """`names_workload` tells whether the workload of a proxy becomes part of its identity; None: of nobody's."""
        self._names_workload = names_workload
        self._keys = keys
        self._clock = clock
        self._dataplane = dataplane
        self._zone = zone
        self._user = user

    async def validate_user(self, token: str) -> users.User:
        """The user that a token stands for, also in the group of the authenticated."""
        keyring = _Keyring(signing_keys.USER, self._keys, self._user)
        claims = await tokens.verify(token, tokens.UserClaims, keyring, self._clock())
        return users.User(claims.name, tuple(claims.groups or ())).authenticated()

    async def validate_zone(self, token: str, zone: str, proxy_type: str) -> None:
        """Checks that a token is for this zone and has the proxy's type (`ingress`, `egress`) in its scope."""
        keyring = _Keyring(signing_keys.ZONE, self._keys, self._zone)
        claims = await tokens.verify(token, tokens.ZoneClaims, keyring, self._clock())
        if claims.zone != zone:
            raise errors.Unauthenticated(f'token is for zone "{claims.zone}", not for "{zone}"')
        if proxy_type not in (claims.scope or ()):
            raise errors.Unauthenticated(f'token scope does not include "{proxy_type}"')

    async def validate_dataplane(self, token: str, dataplane: res.Resource[dataplanes.Dataplane]) -> None:
        """Checks that a token is for this Dataplane: its mesh's keys, then name, mesh, tags and workload.

        Every tag in the token must be on the Dataplane, and each of its values there must be one that the token allows.
        """
        mesh = dataplane.meta.mesh
        keyring = _Keyring(signing_keys.dataplane(mesh), self._keys, self._dataplane)
        claims = await tokens.verify(token, tokens.DataplaneClaims, keyring, self._clock())
        if claims.type not in _DATAPLANE_TYPES:
            raise errors.Unauthenticated(f'token is for proxies of type "{claims.type}", not for a Dataplane')
        if claims.name and claims.name != dataplane.meta.name:
            raise errors.Unauthenticated(f'token is for the proxy "{claims.name}", not for "{dataplane.meta.name}"')
        if claims.mesh and claims.mesh != mesh:
            raise errors.Unauthenticated(f'token is for the mesh "{claims.mesh}", not for "{mesh}"')
        _check_tags(claims.tags or {}, workloads.tags_of(dataplane.spec))
        workload = dataplane.meta.labels.get(labels.WORKLOAD, "")
        if claims.workload and claims.workload != workload:
            raise errors.Unauthenticated(f'token is for the workload "{claims.workload}", not for "{workload}"')
        if workload and not claims.workload and self._names_workload and await self._names_workload(dataplane):
            raise errors.Unauthenticated(
                f'the identity of the proxy is made of its workload "{workload}", and the token is for no workload'
            )


def _check_tags(allowed: Mapping[str, Sequence[str]], tags: Mapping[str, set[str]]) -> None:
    for tag in sorted(allowed):
        if tag not in tags:
            raise errors.Unauthenticated(f'token is for proxies with the tag "{tag}", which this one does not have')
        for value in sorted(tags[tag]):
            if value not in allowed[tag]:
                raise errors.Unauthenticated(f'token does not allow the value "{value}" of the tag "{tag}"')


async def ensure_admin_token(store: protocol.Store, issuer: TokenIssuer) -> None:
    """Keeps a ten-year token of the admin as GlobalSecret `admin-user-token`, for those who are not on this machine."""
    try:
        await store.get(ADMIN_TOKEN)
    except errors.NotFound:
        lifetime = int(tokens.DEFAULT_LIFETIME.total_seconds()) * durations.SECOND
        token = await issuer.user(users.ADMIN_NAME, [users.ADMIN_GROUP], lifetime)
        meta = res.Meta(mesh="", name=ADMIN_TOKEN.name)
        value: res.Resource[Any] = res.Resource(secret.GLOBAL_KIND, meta, secret.Secret(data=token.encode()))
        try:
            await store.create(value)
        except errors.AlreadyExists:
            return  # another control plane was faster
