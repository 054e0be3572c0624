"""What this server needs from the rest of the control plane."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from kuma.compiler import health
from kuma.discovery import machine
from kuma.discovery import resources as xds
from kuma.resources import resource as res
from kuma.services.proxies import nodes

FIRST_REQUEST_SECONDS = 30.0
"""How long an open stream may be silent before it says who it is."""


class Feed(Protocol):
    """The configuration of one proxy; `changed` is set when `snapshot` was replaced."""

    @property
    def snapshot(self) -> xds.Snapshot | None:
        """The latest configuration; None until there is one."""
        ...

    @property
    def changed(self) -> asyncio.Event:
        """Set with every new snapshot."""
        ...


class Session(Protocol):
    """One stream of a proxy that was let in."""

    @property
    def feed(self) -> Feed:
        """Its configuration."""
        ...

    def sent(self, type_url: str) -> None:
        """A response went out."""
        ...

    def acknowledged(self, type_url: str) -> None:
        """Envoy took a response."""
        ...

    def rejected(self, type_url: str, message: str) -> None:
        """Envoy refused a response."""
        ...

    def close(self) -> None:
        """The stream is gone."""
        ...


class Proxies(Protocol):
    """Who may connect. Errors are those of `base.errors`."""

    async def connect(self, node: nodes.Node, credential: str) -> Session:
        """A session for an ADS stream."""
        ...

    async def dataplane_for(self, node: nodes.Node, credential: str) -> res.Resource[Any]:
        """The Dataplane of a proxy that opens another stream."""
        ...


@dataclass(frozen=True, slots=True)
class Health:
    """What HDS needs: settings, the Dataplane as it is now (None: not stored), and where reports go.

    `refresh_interval`: seconds after which a stream looks whether its Dataplane asks for other probes.
    """

    config: health.HealthConfig
    dataplane: Callable[[res.Key], Awaitable[res.Resource[Any] | None]]
    report: Callable[[res.Key, health.Report], Awaitable[object]]
    refresh_interval: float = 10.0


class Measured(Protocol):
    """Counts streams of one kind and what goes over them."""

    def stream(self) -> contextlib.AbstractContextManager[None]:
        """Entered while a stream is open."""
        ...

    def request(self, type_url: str, confirmation: str) -> None:
        """A request came: ACK, NACK, or NONE for one that confirms nothing."""
        ...

    def response(self, type_url: str) -> None:
        """A response went out."""
        ...

    def generation(self) -> contextlib.AbstractContextManager[None]:
        """Entered while something to send is made."""
        ...

    def generation_failed(self) -> None:
        """It could not be made."""
        ...


class _Unmeasured:
    """Where nobody counts."""

    def stream(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def request(self, type_url: str, confirmation: str) -> None:
        return

    def response(self, type_url: str) -> None:
        return

    def generation(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def generation_failed(self) -> None:
        return


UNMEASURED: Measured = _Unmeasured()
"""The counter where nobody counts."""


def _ignore(reason: str) -> None:
    """The observer where nobody counts."""


@dataclass(frozen=True, slots=True)
class Deps:
    """Injected by wiring.

    `instance_id` is shown to Envoy. `refused` is told why a stream was ended by us: `unauthenticated`, `malformed`,
    `unknown-proxy`, `invalid`, `silent`. `health` None: no HDS. `now` is a steady clock in seconds.
    """

    proxies: Proxies
    instance_id: str
    health: Health | None = None
    refused: Callable[[str], None] = _ignore
    now: Callable[[], float] = time.monotonic
    backoff: float = machine.BACKOFF
    ads: Measured = UNMEASURED
    hds: Measured = UNMEASURED
