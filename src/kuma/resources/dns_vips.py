"""The legacy virtual addresses of a mesh, as the Config `kuma-<mesh>-dns-vips` holds them: both stored forms.

A control plane that leads writes them (`services.destinations.legacy_vips`), every one reads them. The default form maps
`<type>:<name>` to an address and its outbounds; the other, smaller one groups by service and tags. Other control planes
and older ones read and write the same text, so it follows Kuma's to the letter.
"""

import enum
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from kuma.base import labels

_PREFIX, _SUFFIX = "kuma-", "-dns-vips"
_SHORT_ORIGINS = {"kubernetes": "k8s", "service": "svc"}
_LONG_ORIGINS = {short: long for long, short in _SHORT_ORIGINS.items()}

SERVICE_ORIGIN = "service"
"""Origin of an outbound that stands for a service tag."""


class HostType(enum.IntEnum):
    """What a name is: a service tag (`<service>.mesh`), the host of an ExternalService, or a domain name in full."""

    SERVICE = 0
    HOST = 1
    FQDN = 2


class Host(NamedTuple):
    """A name that has an address. Sorts by type, then name: the order in which addresses are given out."""

    type: HostType
    name: str


class Outbound(NamedTuple):
    """One port behind an address and the tags it leads to; port 0: no port of its own. Pairs of tags are sorted."""

    port: int
    tags: tuple[tuple[str, str], ...]
    origin: str


class VirtualOutbound(NamedTuple):
    """An address (empty: none yet) and what answers on it, by port."""

    address: str
    outbounds: tuple[Outbound, ...]


Table = Mapping[Host, VirtualOutbound]
"""All legacy addresses of one mesh."""


def config_name(mesh: str) -> str:
    """The name of the Config that holds the addresses of a mesh."""
    return f"{_PREFIX}{mesh}{_SUFFIX}"


def mesh_of(config: str) -> str | None:
    """The mesh whose addresses a Config of this name holds; None for any other Config."""
    if config.startswith(_PREFIX) and config.endswith(_SUFFIX) and len(config) > len(_PREFIX) + len(_SUFFIX):
        return config[len(_PREFIX) : -len(_SUFFIX)]
    return None


def sorted_tags(tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Tags as a value that can be compared and hashed."""
    return tuple(sorted(tags.items()))


# Both stored forms


class _StoredOutbound(msgspec.Struct, frozen=True):
    port: int = msgspec.field(name="Port", default=0)
    tag_set: dict[str, str] | None = msgspec.field(name="TagSet", default=None)
    origin: str = msgspec.field(name="Origin", default="")


class _StoredHost(msgspec.Struct, frozen=True, omit_defaults=True):
    address: str = ""
    outbounds: tuple[_StoredOutbound, ...] = ()


class _AddressPort(msgspec.Struct, frozen=True, omit_defaults=True):
    address: str = msgspec.field(name="a", default="")
    domain: str | None = msgspec.field(name="d", default=None)
    port: int = msgspec.field(name="p", default=0)
    origin: str = msgspec.field(name="o", default="")


class _TaggedOutbound(msgspec.Struct, frozen=True, omit_defaults=True):
    tags: dict[str, str] = msgspec.field(name="t", default_factory=dict)
    addresses: tuple[_AddressPort, ...] = msgspec.field(name="ap", default=())


class _TaggedService(msgspec.Struct, frozen=True, omit_defaults=True):
    outbounds: tuple[_TaggedOutbound, ...] = msgspec.field(name="oe", default=())


class _TagFirst(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    services: dict[str, _TaggedService] = msgspec.field(name="v")


def parse(text: str) -> dict[Host, VirtualOutbound]:
    """The addresses that a stored text holds, in either form; none in an empty one. ValueError for any other text."""
    if not text:
        return {}
    try:
        if text.startswith('{"v":'):
            return _from_tag_first(msgspec.json.decode(text, type=_TagFirst))
        stored = msgspec.json.decode(text, type=dict[str, _StoredHost])
    except msgspec.MsgspecError as failure:
        raise ValueError(f"no table of virtual addresses: {failure}") from None
    return {_host(key): _virtual_outbound(value) for key, value in stored.items()}


def encode(table: Table, *, tag_first: bool = False) -> str:
    """The text that is stored; equal tables give equal texts."""
    document: Any
    if tag_first:
        document = {"v": _by_service(table)}
    else:
        document = {
            f"{int(host.type)}:{host.name}": _StoredHost(
                entry.address,
                tuple(_StoredOutbound(each.port, dict(each.tags), each.origin) for each in entry.outbounds),
            )
            for host, entry in table.items()
        }
        document = dict(sorted(document.items()))
    return msgspec.json.encode(document).decode()


def _host(key: str) -> Host:
    kind, colon, name = key.partition(":")
    if not colon or kind not in {"0", "1", "2"}:
        raise ValueError(f"no table of virtual addresses: {key!r} is no name of a known type")
    return Host(HostType(int(kind)), name)


def _virtual_outbound(stored: _StoredHost) -> VirtualOutbound:
    return VirtualOutbound(
        stored.address,
        tuple(Outbound(each.port, sorted_tags(each.tag_set or {}), each.origin) for each in stored.outbounds),
    )


def _by_service(table: Table) -> dict[str, _TaggedService]:
    grouped: dict[str, dict[tuple[tuple[str, str], ...], list[_AddressPort]]] = {}
    for host, entry in sorted(table.items()):
        domain = host.name if host.type is not HostType.SERVICE and host.name != entry.address else None
        for each in entry.outbounds:
            service = dict(each.tags).get(labels.SERVICE_TAG, "")
            others = tuple(pair for pair in each.tags if pair[0] != labels.SERVICE_TAG)
            origin = _SHORT_ORIGINS.get(each.origin, each.origin)
            place = grouped.setdefault(service, {}).setdefault(others, [])
            place.append(_AddressPort(entry.address, domain, each.port, origin))
    return {
        service: _TaggedService(tuple(_TaggedOutbound(dict(tags), tuple(found)) for tags, found in by_tags.items()))
        for service, by_tags in sorted(grouped.items())
    }


def _from_tag_first(stored: _TagFirst) -> dict[Host, VirtualOutbound]:
    found: dict[Host, VirtualOutbound] = {}
    for service, outbounds in stored.services.items():
        for outbound in outbounds.outbounds:
            tags = sorted_tags({**outbound.tags, labels.SERVICE_TAG: service})
            for each in outbound.addresses:
                host = _host_of(service, each)
                known = found.get(host, VirtualOutbound(each.address, ()))
                target = Outbound(each.port, tags, _LONG_ORIGINS.get(each.origin, each.origin))
                found[host] = known._replace(outbounds=_by_port((*known.outbounds, target)))
    return found


def _by_port(outbounds: Iterable[Outbound]) -> tuple[Outbound, ...]:
    return tuple(sorted(outbounds, key=lambda each: each.port))


def _host_of(service: str, stored: _AddressPort) -> Host:
    """The small form does not say of which type a name is; its origin tells."""
    name = stored.domain or stored.address
    if stored.origin == "k8s" or stored.origin.startswith("external-service:"):
        return Host(HostType.HOST, name)
    if stored.origin.startswith(("virtual-outbound:", "mesh-gateway:")):
        return Host(HostType.FQDN, name)
    return Host(HostType.SERVICE, service)
