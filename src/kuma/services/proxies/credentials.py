"""What a proxy has to show before its stream is taken: Dataplanes a token of theirs, zone proxies one of the zone.

Source: Kuma's documentation, "Data plane proxy authentication" and "Zone proxy authentication".
"""

from dataclasses import dataclass
from typing import Any, Protocol

from kuma.envoy import bootstrap_request as requests
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane


class DataplaneTokens(Protocol):
    """Checks tokens of Dataplanes."""

    async def validate_dataplane(self, token: str, dataplane: res.Resource[dataplane.Dataplane]) -> None:
        """Unauthenticated unless the token is for this Dataplane."""
        ...


class ZoneTokens(Protocol):
    """Checks tokens of zone proxies."""

    async def validate_zone(self, token: str, zone: str, proxy_type: str) -> None:
        """Unauthenticated unless the token is for this zone and type of proxy."""
        ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who checks; None lets everybody of that sort in (`dpServer.authn`, type `none`). `zone` is our own."""

    dataplanes: DataplaneTokens | None
    zone_proxies: ZoneTokens | None
    zone: str = "default"

    async def check(self, proxy: res.Resource[Any], credential: str) -> None:
        """Unauthenticated unless the credential is for this proxy."""
        if proxy.kind is dataplane.KIND:
            if self.dataplanes is not None:
                await self.dataplanes.validate_dataplane(credential, proxy)
        elif self.zone_proxies is not None:
            await self.zone_proxies.validate_zone(credential, self.zone, requests.EGRESS)
