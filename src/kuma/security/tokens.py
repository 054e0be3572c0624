"""JSON Web Tokens that proxies, zones and users show: their claims, signing and verification (RFC 7519, RFC 7515).

Tokens are signed with RS256; the header's `kid` names the key. Tokens that old versions signed with HS256 still
verify. What a claim means for a proxy or a request is decided above; which keys exist is asked through `Keys`.
Every refusal is an `Unauthenticated` whose text never holds any part of the token.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa

from kuma.base import errors

ALGORITHM = "RS256"
LEGACY_ALGORITHM = "HS256"
LEGACY_KEY_ID = "0"
"""Names the one signing key that has no serial number in its name."""

CLOCK_SKEW = timedelta(seconds=5)
"""Tokens are dated back by this much, for validators whose clocks are behind."""

DEFAULT_LIFETIME = timedelta(hours=87_600)
"""Dataplane and zone tokens live this long unless the request says otherwise; user tokens have no default."""

MAX_LENGTH = 16 * 1024
"""Characters; longer ones are refused unread. Ours are below 1,000."""

_jws = jwt.PyJWS(algorithms=[ALGORITHM, LEGACY_ALGORITHM])


class _Registered(msgspec.Struct, frozen=True, kw_only=True):
    exp: float | None = None
    nbf: float | None = None
    iat: float | None = None
    jti: str = ""


class DataplaneClaims(_Registered, frozen=True, kw_only=True, rename="pascal"):
    """Which Dataplanes a token is for: empty means any. `tags` maps each tag to the values that are allowed."""

    name: str = ""
    mesh: str = ""
    tags: dict[str, list[str]] | None = None
    type: str = ""
    workload: str = ""


class ZoneClaims(_Registered, frozen=True, kw_only=True, rename="pascal"):
    """Which zone proxies a token is for; `scope` has `ingress`, `egress` or both."""

    zone: str = ""
    scope: list[str] | None = None


class UserClaims(_Registered, frozen=True, kw_only=True, rename="pascal"):
    """Who the holder of a token is."""

    name: str = ""
    groups: list[str] | None = None


C = TypeVar("C", DataplaneClaims, ZoneClaims, UserClaims)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the serial number that tokens carry as `kid`."""

    kid: str
    private: rsa.RSAPrivateKey


class Keys(Protocol):
    """The keys that may have signed one kind of token."""

    async def public_key(self, kid: str) -> rsa.RSAPublicKey | None:
        """The key of a serial number, or None."""
        ...

    async def legacy_key(self) -> bytes | None:
        """The bytes that HS256 tokens of old versions were signed with, or None."""
        ...

    async def is_revoked(self, jti: str) -> bool:
        """Whether a token was withdrawn."""
        ...


def sign(
    claims: DataplaneClaims | ZoneClaims | UserClaims, key: SigningKey, now: datetime, valid_for: timedelta
) -> str:
    """The signed token; `claims` give the own claims, the registered ones are added here.

    `exp` is `now + valid_for`, which may lie in the past; `iat` and `nbf` are 5 s before `now`.
    """
    payload: dict[str, object] = {k: v for k, v in msgspec.to_builtins(claims).items() if k not in _REGISTERED}
    issued = int((now - CLOCK_SKEW).timestamp())
    payload["exp"] = int((now + valid_for).timestamp())
    payload["nbf"] = payload["iat"] = issued
    payload["jti"] = str(uuid.uuid4())
    return _jws.encode(msgspec.json.encode(payload), key.private, algorithm=ALGORITHM, headers={"kid": key.kid})


async def verify(token: str, claims: type[C], keys: Keys, now: datetime) -> C:
    """The claims of a token that one of `keys` signed and that is valid at `now`; Unauthenticated otherwise.

    A token without `exp` never ends: only holders of a signing key can make one, and third parties do.
    """
    if len(token) > MAX_LENGTH:
        raise errors.Unauthenticated("token is too long")
    algorithm, kid = _read_header(token)
    key = await _find_key(algorithm, kid, keys)
    try:
        payload = _jws.decode(token, key, algorithms=[algorithm])
    except jwt.PyJWTError:
        raise errors.Unauthenticated("token signature is invalid") from None
    try:
        found = msgspec.json.decode(payload, type=claims)
    except msgspec.MsgspecError:
        raise errors.Unauthenticated("token claims cannot be read") from None
    _check_times(found, now.timestamp())
    if found.jti and await keys.is_revoked(found.jti):
        raise errors.Unauthenticated("token is revoked")
    return found


def _read_header(token: str) -> tuple[str, str]:
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):  # the header may be JSON of any depth
        raise errors.Unauthenticated("token is malformed") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in (ALGORITHM, LEGACY_ALGORITHM):
        raise errors.Unauthenticated("token is not signed with RS256")
    if not isinstance(kid, str) or not kid:
        raise errors.Unauthenticated("token header has no key id (kid)")
    return algorithm, kid


async def _find_key(algorithm: str, kid: str, keys: Keys) -> rsa.RSAPublicKey | bytes:
    """The algorithm decides which kind of key is looked up, so a public key is never taken for an HMAC secret."""
    key: rsa.RSAPublicKey | bytes | None = None
    if algorithm == ALGORITHM:
        key = await keys.public_key(kid)
    elif kid == LEGACY_KEY_ID:
        key = await keys.legacy_key()
    if not key:
        raise errors.Unauthenticated("there is no key with the key id (kid) of the token")
    return key


def _check_times(found: _Registered, now: float) -> None:
    if found.exp is not None and now >= found.exp:
        raise errors.Unauthenticated("token is expired")
    if found.nbf is not None and now < found.nbf:
        raise errors.Unauthenticated("token is not valid yet")


def parse_revocations(stored: bytes) -> frozenset[str]:
    """The ids of withdrawn tokens: separated by commas, white space around them ignored."""
    text = stored.decode("utf-8", "replace")
    return frozenset(each.strip() for each in text.split(",") if each.strip())


_REGISTERED: frozenset[str] = frozenset(_Registered.__struct_fields__)

Clock = Callable[[], datetime]
"""Tells the present time, with a time zone."""
