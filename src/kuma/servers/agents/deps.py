"""What this server needs from the rest of the control plane."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from kuma.envoy import bootstrap
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of a request body; more is refused before it is read."""


class Resources(Protocol):
    """Stored resources, as far as an agent's questions go. Any store fits."""

    async def get(self, key: res.Key) -> res.Resource[Any]:
        """The resource at `key`; NotFound where there is none."""
        ...


def _ignore(path: str, status: int) -> None:
    """The observer where nobody counts."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Injected by wiring.

    `catalog` knows the kinds of proxies. `goodbye` takes the proxy at a key out of
    service on behalf of the holder of a token, or only its registration with the definition that comes third, where that
    is not empty; it raises Unauthenticated, AccessDenied or NotFound. `certificate` is
    the PEM chain that the data plane port shows. `observe` is told the path and status of every answer.
    """

    resources: Resources
    catalog: catalogs.Catalog
    goodbye: Callable[[res.Key, str, str], Awaitable[None]]
    certificate: bytes
    params: bootstrap.Params = field(default_factory=bootstrap.Params)
    dataplane_token_required: bool = True
    zone_token_required: bool = True
    inbound_tags_disabled: bool = False
    corefile_template: bytes | None = None
    body_limit: int = BODY_LIMIT
    observe: Callable[[str, int], None] = _ignore
