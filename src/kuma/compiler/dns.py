"""Names of the mesh for one proxy: which it may resolve, and who answers for them beside the application.

Only traffic that is redirected reaches a virtual address, so there are names under transparent proxying alone. An
agent with its own DNS server is given the records as a document (`dynamic_config`); for every other Envoy answers.
Source: Kuma's documentation, "DNS"; Envoy's DNS filter.
"""

import ipaddress
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from kuma.base import labels
from kuma.compiler import dynamic_config, listeners
from kuma.envoy import api, names
from kuma.mesh import vips
from kuma.plan import nodes, proxy

TTL_SECONDS = 30
"""Short, so that a client does not keep the address of a destination that is gone."""

ORIGIN = "dns"

_ADDRESS = "127.0.0.1"
_LABELS = (
    ("k8s_kuma_io_namespace", labels.NAMESPACE),
    ("kuma_io_zone", labels.ZONE),
    ("kuma_workload", labels.WORKLOAD),
)


@dataclass(frozen=True, slots=True)
class Record:
    """A name and the addresses behind it, IPv4 first."""

    name: str
    addresses: tuple[str, ...]


def add_names(plan: nodes.ProxyPlan, listed: Iterable[vips.Listed], *, unified: bool) -> None:
    """Adds what answers for the names of a proxy's outbounds; nothing where its traffic is not redirected."""
    subject = plan.proxy
    if not subject.redirect.enabled or not subject.dns_port or subject.has(proxy.BIND_OUTBOUNDS):
        return
    outbounds = tuple(listed)
    domains = ((name, each.address) for each in outbounds for name in each.hostnames)
    found = records(domains, {each.address for each in outbounds}, ipv6=not subject.redirect.ipv4_only)
    meta = subject.resource.meta
    if subject.has(proxy.EMBEDDED_DNS):
        plan.documents[dynamic_config.DNS] = document(found, meta.mesh, meta.labels)
    else:
        plan.listeners.append(listener(found, subject.dns_port, unified=unified))


def records(domains: Iterable[tuple[str, str]], held: Collection[str], *, ipv6: bool) -> tuple[Record, ...]:
    """Records out of pairs of hostname and virtual address, sorted by name; of equal names the last pair counts.

    `held` are the addresses of the proxy's outbounds: a name that leads nowhere is not told. With `ipv6` a name of an
    IPv4 address is also found under that address mapped into IPv6.
    """
    found = {name: address for name, address in domains if address in held}
    return tuple(Record(name, _families(found[name], ipv6)) for name in sorted(found))


def _families(address: str, ipv6: bool) -> tuple[str, ...]:
    if not ipv6 or ":" in address:
        return (address,)
    packed = int(ipaddress.IPv4Address(address))
    return address, f"::ffff:{packed >> 16:x}:{packed & 0xFFFF:x}"


def document(found: Iterable[Record], mesh: str, of_proxy: Mapping[str, str]) -> bytes:
    """What the agent's DNS server is told. `of_proxy` are the Dataplane's labels, some of which its metrics carry."""
    said = {"mesh": mesh} | {key: of_proxy.get(label, "") for key, label in _LABELS}
    body = {
        "records": [{"name": each.name, "ips": each.addresses} for each in found],
        "ttl": TTL_SECONDS,
        "extraLabels": {key: said[key] for key in sorted(said) if said[key]},
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def listener(found: Iterable[Record], port: int, *, unified: bool) -> nodes.ListenerNode:
    """Envoy's own DNS server on a local UDP port, for agents that have none."""
    name = names.dns(unified)
    message = listeners.tcp_listener(name, _ADDRESS, port, api.INBOUND)
    message.address.socket_address.protocol = api.UDP
    message.enable_reuse_port.value = True
    config = api.DnsFilter(stat_prefix="kuma_dns")
    for each in found:
        domain = config.server_config.inline_dns_table.virtual_domains.add(name=each.name)
        domain.answer_ttl.CopyFrom(api.seconds(TTL_SECONDS))
        domain.endpoint.address_list.address.extend(each.addresses)
    message.listener_filters.add(name=listeners.DNS_FILTER).typed_config.CopyFrom(api.pack(config))
    return nodes.ListenerNode(name, message, origin=ORIGIN)
