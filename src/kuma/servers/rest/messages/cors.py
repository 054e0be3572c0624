"""Lets web pages of other origins read answers, where `apiServer.corsAllowedDomains` names them.

A page that is let in gets no rights by it: it is not the admin, whatever machine the browser runs on. Source: the
Fetch standard, "CORS protocol".
"""

import re
from collections.abc import Iterable, Mapping

from kuma.base import errors
from kuma.servers.rest.messages import replies

Headers = tuple[tuple[bytes, bytes], ...]

_REQUEST_HEADERS = b"accept, authorization, content-type"


class Cors:
    """Which origins may read. Each domain is an origin as it stands, or a pattern that the whole origin has to fit."""

    def __init__(self, domains: Iterable[str]) -> None:
        """BadRequest where one is neither."""
        wanted = [each.lower() for each in domains]
        self._origins = frozenset(wanted)
        try:
            self._patterns = [re.compile(each) for each in wanted]
        except re.error as failure:
            raise errors.BadRequest(f"apiServer.corsAllowedDomains: {failure}") from None

    def allows(self, origin: str) -> bool:
        """Whether pages of this origin may read answers."""
        own = origin.lower()
        return bool(own) and (own in self._origins or any(each.fullmatch(own) for each in self._patterns))

    def headers(self, origin: str) -> Headers:
        """What an answer to a request of this origin carries beside its own headers."""
        if not self._patterns:
            return ()
        if not self.allows(origin):
            return ((b"vary", b"Origin"),)
        return ((b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin"))

    def preflight(self, method: str, headers: Mapping[str, str], served: Iterable[str]) -> replies.Reply | None:
        """The answer to a browser's question whether a request may come; None for any other request.

        `headers` have lower-case names; `served` are the methods of the path.
        """
        origin, wanted = headers.get("origin", ""), headers.get("access-control-request-method", "")
        if method != "OPTIONS" or not wanted or not self.allows(origin):
            return None
        methods = sorted(served)
        if wanted not in methods:
            return replies.Reply(200, "", ())
        allowed = (
            (b"access-control-allow-methods", ",".join(methods).encode()),
            (b"access-control-allow-headers", _REQUEST_HEADERS),
        )
        return replies.Reply(200, "", (), headers=allowed)
