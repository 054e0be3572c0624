"""Issues tokens to those who may have them. Checks and their texts: Kuma's HTTP API, "Token endpoints"."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from kuma.base import durations, errors
from kuma.security import access
from kuma.servers.rest.messages import calls, replies

_TITLE = "Could not issue a token"
_INVALID = "Invalid request"
_NO_KEY = "Signing Key not found"
_PROXY_TYPES = ("", "dataplane", "ingress", "egress")


class TokenIssuer(Protocol):
    """Signs tokens; lifetimes are nanoseconds. NotFound where there is no signing key."""

    async def dataplane(
        self,
        mesh: str,
        name: str = "",
        tags: Mapping[str, Sequence[str]] | None = None,
        proxy_type: str = "",
        workload: str = "",
        valid_for: int | None = None,
    ) -> str:
        """A token for Dataplanes of a mesh."""
        ...

    async def zone(self, zone: str, scope: Sequence[str], valid_for: int | None = None) -> str:
        """A token for the proxies of a zone."""
        ...

    async def user(self, name: str, groups: Sequence[str], valid_for: int) -> str:
        """A token for a user of this API."""
        ...


class _DataplaneRequest(msgspec.Struct, rename="camel"):
    name: str | None = None
    mesh: str | None = None
    tags: dict[str, list[str]] | None = None
    type: str | None = None
    workload: str | None = None
    valid_for: str | None = None


class _ZoneRequest(msgspec.Struct, rename="camel"):
    zone: str | None = None
    scope: list[str] | None = None
    valid_for: str | None = None


class _UserRequest(msgspec.Struct, rename="camel"):
    name: str | None = None
    groups: list[str] | None = None
    valid_for: str | None = None


_UNREADABLE = replies.Reply(400, "", ())
"""A body that is no such request gets an empty answer, without a content type."""


class TokenEndpoints:
    """Answers requests for tokens. `user_tokens`: whether users of this API are known by tokens at all."""

    def __init__(self, issuer: TokenIssuer, permits: access.StaticAccess, user_tokens: bool) -> None:
        self._issuer = issuer
        self._access = permits
        self._user_tokens = user_tokens

    def add_to(self, routes: calls.Routes) -> None:
        """Serves the endpoints."""
        routes.add("POST", "/tokens/dataplane", calls.Endpoint(self._dataplane, _TITLE))
        routes.add("POST", "/tokens/zone", calls.Endpoint(self._zone, _TITLE))
        if self._user_tokens:
            routes.add("POST", "/tokens/user", calls.Endpoint(self._user, _TITLE))

    async def _dataplane(self, call: calls.Call) -> replies.Reply:
        try:
            wanted = msgspec.json.decode(await call.body(), type=_DataplaneRequest)
        except msgspec.DecodeError:
            return _UNREADABLE
        broken: list[errors.Violation] = []
        if not wanted.mesh:
            broken.append(errors.Violation("mesh", "cannot be empty"))
        if (wanted.type or "") not in _PROXY_TYPES:
            broken.append(errors.Violation("type", f"{wanted.type} is not a valid proxy type"))
        valid_for = _lifetime(wanted.valid_for, broken)
        _require_none(broken)
        self._access.require_dataplane_token(call.user)
        mesh = wanted.mesh or ""
        try:
            token = await self._issuer.dataplane(
                mesh, wanted.name or "", wanted.tags, wanted.type or "", wanted.workload or "", valid_for
            )
        except errors.NotFound:
            return _no_key(f'Secret of name "dataplane-token-signing-key-{mesh}-1" in mesh "{mesh}"')
        return replies.text_reply(200, token, replies.TEXT)

    async def _zone(self, call: calls.Call) -> replies.Reply:
        try:
            wanted = msgspec.json.decode(await call.body(), type=_ZoneRequest)
        except msgspec.DecodeError:
            return _UNREADABLE
        self._access.require_zone_token(call.user, wanted.zone or "")
        broken: list[errors.Violation] = []
        if wanted.scope is None:
            broken.append(errors.Violation("scope", "cannot be empty"))
        valid_for = _lifetime(wanted.valid_for, broken)
        _require_none(broken)
        try:
            token = await self._issuer.zone(wanted.zone or "", wanted.scope or [], valid_for)
        except errors.NotFound:
            return _no_key('GlobalSecret of name "zone-token-signing-key-1"')
        return replies.text_reply(200, token, replies.TEXT)

    async def _user(self, call: calls.Call) -> replies.Reply:
        try:
            wanted = msgspec.json.decode(await call.body(), type=_UserRequest)
        except msgspec.DecodeError:
            return _UNREADABLE
        self._access.require_user_token(call.user)
        broken: list[errors.Violation] = []
        if not wanted.name:
            broken.append(errors.Violation("name", "cannot be empty"))
        valid_for = _required_lifetime(wanted.valid_for, broken)
        _require_none(broken)
        try:
            token = await self._issuer.user(wanted.name or "", wanted.groups or [], valid_for)
        except errors.NotFound:
            return _no_key('GlobalSecret of name "user-token-signing-key-1"')
        return replies.text_reply(200, token, replies.TEXT)


def _lifetime(text: str | None, broken: list[errors.Violation]) -> int | None:
    """Nanoseconds; None where nothing is said, which means ten years."""
    if not text:
        return None
    try:
        return durations.parse_go(text)
    except ValueError as failure:
        broken.append(errors.Violation("validFor", f"is invalid: {failure}"))
        return None


def _required_lifetime(text: str | None, broken: list[errors.Violation]) -> int:
    """Nanoseconds, which have to be given and not zero."""
    if not text:
        broken.append(errors.Violation("validFor", "cannot be empty"))
        return 0
    found = _lifetime(text, broken)
    if not found:
        broken.append(errors.Violation("validFor", "cannot be empty or nil"))
    return found or 0


def _require_none(broken: Sequence[errors.Violation]) -> None:
    if broken:
        with errors.titled(_INVALID):
            raise errors.InvalidResource(broken)


def _no_key(place: str) -> replies.Reply:
    detail = (
        f"there is no signing key with KID 1. {place} is not found. If signing key was rotated, regenerate the token"
    )
    return replies.error_document(404, _NO_KEY, detail)
