"""Filter chains out of the matches of a MeshPassthrough: which there are, in which order, and what none may repeat.

Domains of one HTTP protocol and port share a chain and become its virtual hosts; every other match has a chain of its
own. Envoy picks the port before anything else, so that a match without a port would be out of sight on ports that
others name: it is repeated on each of them. Envoy refuses chains that ask for the same connections, so of those the
first counts, and one that names its port before one that does not. Source: Kuma's documentation, "MeshPassthrough";
Envoy's API, "FilterChainMatch".
"""

import enum
import ipaddress
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass

from kuma.policies.meshpassthrough import model, validate

HTTP = ("http", "http2", "grpc")
WITHOUT_NAMES = ("tcp", "mysql")
"""Protocols in which nothing says the name of the server."""

_ORDER = {"tls": 0, "mysql": 0, "tcp": 1, "http": 2, "http2": 3, "grpc": 4}


class Sort(enum.IntEnum):
    """What tells the connections of a chain apart, the least specific first."""

    WILDCARD = 1
    DOMAIN = 2
    CIDR = 3
    CIDR_V6 = 4
    IP = 5
    IP_V6 = 6


FAMILIES = {
    "ipv4": (Sort.WILDCARD, Sort.DOMAIN, Sort.CIDR, Sort.IP),
    "ipv6": (Sort.WILDCARD, Sort.DOMAIN, Sort.CIDR_V6, Sort.IP_V6),
}
"""What can be connected to over each family: a domain over both."""


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain. `port` 0: every port. `value` as written; with `domains`, those of an HTTP protocol, it is empty."""

    protocol: str
    port: int
    sort: Sort
    value: str = ""
    domains: tuple[str, ...] = ()

    @property
    def network(self) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
        """The addresses it is about; None for domains."""
        is_name = self.sort in (Sort.WILDCARD, Sort.DOMAIN)
        return None if is_name else ipaddress.ip_network(self.value, strict=False)

    @property
    def name(self) -> str:
        """What Envoy calls it. MySQL is plain TCP to Envoy."""
        port = str(self.port or "*")
        if self.domains:
            return f"meshpassthrough_{self.protocol}_{port}"
        return cluster_name(self.protocol, self.value, self.port)


def cluster_name(protocol: str, value: str, port: int) -> str:
    """The cluster of a chain, or of a domain in it."""
    return f"meshpassthrough_{'tcp' if protocol == 'mysql' else protocol}_{value}_{port or '*'}"


def in_order(matches: Iterable[model.Match]) -> tuple[Chain, ...]:
    """The chains of some matches, the most specific of each protocol first."""
    written = list(_written(matches))
    ports = dict.fromkeys(each.port for each in written if each.port)
    repeated = [_on_port(each, port) for each in written if not each.port for port in ports]
    owners: dict[Hashable, Chain] = {}
    for each in [*sorted(written, key=lambda chain: not chain.port), *repeated]:
        asked = _asked(each)
        owner = owners.setdefault(asked, each)
        if owner.protocol == each.protocol and owner.domains:
            domains = dict.fromkeys((*owner.domains, *each.domains))
            owners[asked] = Chain(owner.protocol, owner.port, owner.sort, domains=tuple(sorted(domains, key=_rank)))
    names = sorted((each for each in owners.values() if each.network is None), key=lambda chain: chain.value)
    addresses = sorted((each for each in owners.values() if each.network is not None), key=_address, reverse=True)
    return tuple(sorted([*names, *addresses], key=_place))


def mysql_ports(matches: Iterable[model.Match]) -> tuple[int, ...]:
    """Ports on which the server speaks first, so that nobody may wait for the client."""
    found = (each.port for each in matches if each.protocol == "mysql")
    return tuple(dict.fromkeys(port for port in found if port is not None))


def _written(matches: Iterable[model.Match]) -> Iterator[Chain]:
    for each in matches:
        protocol, port = each.protocol or validate.TCP, each.port or 0
        if each.type != "Domain":
            is_v6 = ":" in each.value
            sort = {"IP": (Sort.IP, Sort.IP_V6), "CIDR": (Sort.CIDR, Sort.CIDR_V6)}[each.type][is_v6]
            yield Chain(protocol, port, sort, each.value)
        elif protocol in HTTP:
            yield Chain(protocol, port, Sort.DOMAIN, domains=(each.value,))
        elif protocol not in WITHOUT_NAMES:
            yield Chain(protocol, port, Sort.WILDCARD if each.value.startswith("*") else Sort.DOMAIN, each.value)


def _on_port(chain: Chain, port: int) -> Chain:
    return Chain(chain.protocol, port, chain.sort, chain.value, chain.domains)


def _asked(chain: Chain) -> Hashable:
    """Which connections a chain asks for, as Envoy compares them."""
    is_tls = chain.protocol == "tls"
    server = chain.value.lower() if is_tls and chain.network is None else ""
    return is_tls, chain.protocol in HTTP, chain.port, chain.network, server


def _place(chain: Chain) -> tuple[int, ...]:
    network = chain.network
    length = network.prefixlen if network is not None else chain.value.count(".")
    return _ORDER.get(chain.protocol, 0), -chain.sort, -chain.port, -length


def _address(chain: Chain) -> str:
    return str(chain.network.network_address) if chain.network is not None else ""


def _rank(domain: str) -> tuple[bool, int, str]:
    """Exact domains first, then longer ones."""
    return domain.startswith("*"), -domain.count("."), domain
