"""Who sends a request. The machine's own requests are the admin's; then a user token or a client certificate, whichever
the control plane goes by; else nobody in particular.

Order and rules: Kuma's documentation, "Secure access to the API server".
"""

from collections.abc import Mapping
from typing import Any, Protocol

from kuma.security import access, users

_BEARER = "Bearer "


class TokenValidator(Protocol):
    """Checks user tokens."""

    async def validate_user(self, token: str) -> users.User:
        """The user whom a token names; Unauthenticated where it is not to be believed."""
        ...


class Identity:
    """Finds the user of a request. `tokens` None means that tokens are not looked at.

    `certified_is_admin`: whoever shows a client certificate, which the port has verified, is the admin.
    """

    def __init__(
        self, tokens: TokenValidator | None, localhost_is_admin: bool, certified_is_admin: bool = False
    ) -> None:
        self._tokens = tokens
        self._localhost_is_admin = localhost_is_admin
        self._certified_is_admin = certified_is_admin

    async def user_of(self, scope: Mapping[str, Any], headers: Mapping[str, str]) -> users.User:
        """The user; Unauthenticated where a token is shown that is not to be believed.

        `headers` have lower-case names. Another scheme than Bearer counts as no token. The admin's token is not
        looked at: a local request needs none.
        """
        client = scope.get("client")
        peer = client[0] if client else ""
        if self._localhost_is_admin and access.is_local_admin(peer, headers, scope["scheme"]):
            return users.ADMIN
        if self._certified_is_admin and scope.get("extensions", {}).get("tls", {}).get("client_cert_chain"):
            return users.ADMIN
        shown = headers.get("authorization", "")
        if self._tokens is None or not shown.startswith(_BEARER):
            return users.ANONYMOUS
        return (await self._tokens.validate_user(shown.removeprefix(_BEARER))).authenticated()
