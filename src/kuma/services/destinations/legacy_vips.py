"""The names and addresses by which proxies reach services by their tags: `<service>.mesh` and its kin.

Every service tag, every ExternalService and its host, whatever VirtualOutbounds make of tags, and gateways that are
open to other meshes get an address; one that was given stays. Source: Kuma's documentation, "DNS", "Virtual Outbound".
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kuma.base import gotemplate, labels
from kuma.legacy_policies.virtualoutbound import model as virtualoutbound
from kuma.resources import addresses, dns_vips, selectors
from kuma.resources import resource as res
from kuma.resources.kinds import externalservice, meshgateway
from kuma.services.destinations import virtual_addresses

Tags = Mapping[str, str]
_Named = tuple[dns_vips.Host, dns_vips.Outbound]
_PORT = re.compile(r"\+?\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Settings:
    """`cidr`: where addresses come from. `domain`: what generated names end in. `of_services`: whether tags get one."""

    cidr: str = "240.0.0.0/4"
    domain: str = "mesh"
    of_services: bool = True
    tag_first: bool = False


@dataclass(frozen=True, slots=True)
class Sources:
    """What gives names in one mesh; all in a fixed order, because the first to take a name and port has it.

    `tags`: those of inbounds and of what other zones offer. `gateways`: of all meshes.
    """

    tags: Sequence[Tags] = ()
    external_services: Sequence[res.Resource[externalservice.ExternalService]] = ()
    virtual_outbounds: Sequence[res.Resource[virtualoutbound.VirtualOutbound]] = ()
    gateways: Sequence[res.Resource[meshgateway.MeshGateway]] = ()


def names_of(sources: Sources, settings: Settings) -> dict[dns_vips.Host, tuple[dns_vips.Outbound, ...]]:
    """All names of a mesh, in the order in which they get addresses, with what answers on each."""
    found: dict[dns_vips.Host, dict[int, dns_vips.Outbound]] = {}
    for host, outbound in _named(sources, settings):
        found.setdefault(host, {}).setdefault(outbound.port, outbound)
    return {host: tuple(each for _, each in sorted(found[host].items())) for host in sorted(found)}


class Addresses:
    """The legacy addresses of one mesh as they are stored (`text`), kept between changes: a mesh has thousands."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.text = ""
        self._table: dns_vips.Table = {}
        self._pool = virtual_addresses.AddressPool(settings.cidr)

    def read(self, text: str) -> None:
        """Takes what is stored now; ValueError where it is no table. Addresses of another network are given up."""
        if text == self.text:
            return
        self._table, self.text = dns_vips.parse(text), text
        self._pool = virtual_addresses.AddressPool(self._settings.cidr)
        for host, known in self._table.items():
            if not _is_own_address(host) and self._pool.covers(known.address):
                self._pool.hold(host, known.address)

    def updated(self, sources: Sources) -> str:
        """The text to store. What says the same already stays as it is, in whichever form.

        A name keeps its address; where the network is used up, names that are new have none.
        """
        names = names_of(sources, self._settings)
        table = {host: dns_vips.VirtualOutbound(self._address(host), outbounds) for host, outbounds in names.items()}
        for host in self._table.keys() - table.keys():
            self._pool.release(host)
        if table != self._table:
            self._table, self.text = table, dns_vips.encode(table, tag_first=self._settings.tag_first)
        return self.text

    def _address(self, host: dns_vips.Host) -> str:
        return host.name if _is_own_address(host) else self._pool.address_of(host) or ""


def _is_own_address(host: dns_vips.Host) -> bool:
    """The host of an ExternalService may be an IP address: then that is what clients dial."""
    return host.type is dns_vips.HostType.HOST and addresses.parse_ip(host.name) is not None


def _named(sources: Sources, settings: Settings) -> Iterator[_Named]:
    for tags in sources.tags:
        service = tags.get(labels.SERVICE_TAG)
        if service:
            if settings.of_services:
                yield _service(service, 0)
            yield from _made_up(sources.virtual_outbounds, tags)
    for each in sources.external_services:
        yield from _external(each, sources.virtual_outbounds, settings)
    for gateway in sources.gateways:
        yield from _gateway(gateway, settings.domain)


def _service(service: str, port: int) -> _Named:
    tags = ((labels.SERVICE_TAG, service),)
    return dns_vips.Host(dns_vips.HostType.SERVICE, service), dns_vips.Outbound(port, tags, dns_vips.SERVICE_ORIGIN)


def _external(
    resource: res.Resource[externalservice.ExternalService],
    virtual_outbounds: Iterable[res.Resource[virtualoutbound.VirtualOutbound]],
    settings: Settings,
) -> Iterator[_Named]:
    networking, service = resource.spec.networking, resource.spec.tags.get(labels.SERVICE_TAG)
    place = addresses.split_host_port(networking.address) if networking is not None else None
    if networking is None or service is None or place is None or not _PORT.fullmatch(place[1]):
        return
    host, port = place[0], int(place[1])
    if settings.of_services:
        yield _service(service, port)
    if not networking.disable_host_dns_entry:
        origin = f"external-service:{resource.meta.name}"
        outbound = dns_vips.Outbound(port, ((labels.SERVICE_TAG, service),), origin)
        yield dns_vips.Host(dns_vips.HostType.HOST, host), outbound
    yield from _made_up(virtual_outbounds, {labels.SERVICE_TAG: service})


def _made_up(
    virtual_outbounds: Iterable[res.Resource[virtualoutbound.VirtualOutbound]], tags: Tags
) -> Iterator[_Named]:
    """What VirtualOutbounds make of tags. A template that these tags do not fill in gives nothing."""
    for each in virtual_outbounds:
        spec = each.spec
        is_chosen = not spec.selectors or any(selectors.matches(one.match, tags) for one in spec.selectors)
        if spec.conf is None or not is_chosen:
            continue
        known = {one.name: tags[one.tag] for one in spec.conf.parameters if one.tag in tags}
        host, port = _filled(spec.conf.host, known), _filled(spec.conf.port, known)
        if not addresses.is_dns_name(host) or not _PORT.fullmatch(port) or not addresses.is_port(int(port)):
            continue
        kept = {one.tag: tags[one.tag] for one in spec.conf.parameters if one.tag in tags}
        outbound = dns_vips.Outbound(int(port), dns_vips.sorted_tags(kept), f"virtual-outbound:{each.meta.name}")
        yield dns_vips.Host(dns_vips.HostType.FQDN, host), outbound


def _filled(template: str, fields: Mapping[str, str]) -> str:
    try:
        return _compiled(template).render(fields)
    except gotemplate.TemplateError:
        return ""


@functools.lru_cache(maxsize=256)
def _compiled(template: str) -> gotemplate.Template:
    """Templates are few and tags are many."""
    return gotemplate.parse(template)


def _gateway(gateway: res.Resource[meshgateway.MeshGateway], domain: str) -> Iterator[_Named]:
    """Listeners that are open to other meshes, under their host name; where that is none, under one that is made."""
    spec: Any = gateway.spec
    for listener in spec.conf.listeners if spec.conf is not None else ():
        if not listener.cross_mesh:
            continue
        mesh, name, host = gateway.meta.mesh, gateway.meta.name, listener.hostname
        if not host or "*" in host:
            host = f"internal.{name}.{mesh}.{domain}"
        for selector in spec.selectors:
            tags = {**spec.tags, **listener.tags, labels.MESH_TAG: mesh, **selector.match}
            origin = f"mesh-gateway:{mesh}:{name}:{host}"
            outbound = dns_vips.Outbound(listener.port, dns_vips.sorted_tags(tags), origin)
            yield dns_vips.Host(dns_vips.HostType.FQDN, host), outbound
