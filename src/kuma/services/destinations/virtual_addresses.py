"""Virtual addresses of services, given out one after the other from the first address of a network. Pure.

An address that became free is not given to another until all others were: clients that still send to it must not reach
somebody else. Source: Kuma's documentation, "MeshService" (virtual IPs) and "DNS".
"""

import ipaddress
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import msgspec

from kuma.resources import addresses
from kuma.resources import resource as res
from kuma.resources.kinds import meshexternalservice, meshmultizoneservice, meshservice, statuses


class AddressPool:
    """The addresses of one network, and who has them. Every address counts, the first and the last included."""

    def __init__(self, cidr: str) -> None:
        """ValueError where `cidr` is no network."""
        self._network = ipaddress.ip_network(cidr, strict=False)
        self._holders: dict[str, set[Hashable]] = {}
        self._held: dict[Hashable, str] = {}
        self._next = 0

    def covers(self, address: str) -> bool:
        """Whether a text is an address of this network."""
        found = addresses.parse_ip(address)
        return found is not None and found in self._network

    def hold(self, holder: Hashable, address: str) -> None:
        """Notes that `holder` has an address, from wherever; it gives back the one it had before."""
        if self._held.get(holder) != address:
            self.release(holder)
            self._held[holder] = address
            self._holders.setdefault(address, set()).add(holder)

    def address_of(self, holder: Hashable) -> str | None:
        """The address of `holder`, the next free one where it has none; None where all are taken."""
        known = self._held.get(holder)
        if known is not None:
            return known
        size = self._network.num_addresses
        for offset in range(min(size, len(self._holders) + 1)):
            index = (self._next + offset) % size
            address = str(self._network[index])
            if address not in self._holders:
                self._next = index + 1
                self.hold(holder, address)
                return address
        return None

    def release(self, holder: Hashable) -> None:
        """Gives back the address of `holder`, if it has one."""
        address = self._held.pop(holder, None)
        if address is not None:
            holders = self._holders[address]
            holders.discard(holder)
            if not holders:
                del self._holders[address]


def vip_of(service: res.Resource[Any]) -> str:
    """The first virtual address of a service; empty if it has none."""
    status = service.status
    if isinstance(status, meshexternalservice.MeshExternalServiceStatus):
        return status.vip.ip
    if isinstance(status, meshservice.MeshServiceStatus | meshmultizoneservice.MeshMultiZoneServiceStatus):
        return status.vips[0].ip if status.vips else ""
    return ""


def with_vip(service: res.Resource[Any], address: str) -> res.Resource[Any]:
    """The service with this virtual address. It has to have a status."""
    vip, status = statuses.Vip(ip=address), service.status
    assert status is not None
    if isinstance(status, meshexternalservice.MeshExternalServiceStatus):
        return replace(service, status=msgspec.structs.replace(status, vip=vip))
    return replace(service, status=msgspec.structs.replace(status, vips=(vip,)))
