"""Rules of a MeshPassthrough."""

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.resources import addresses, targetref
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.policies.meshpassthrough import model

_TOP = targetref.Allowed(("Mesh", "MeshSubset", "Dataplane"))
TCP = "tcp"
PROTOCOLS = (TCP, "tls", "grpc", "http", "http2", "mysql")
"""What is spoken to a destination; by it, Envoy tells domains apart (SNI, Host header) or cannot (tcp, mysql)."""
_HTTP = ("grpc", "http", "http2")
_WITHOUT_DOMAINS = (TCP, "mysql")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshPassthrough."""
    spec: model.MeshPassthrough = resource.spec
    if spec.target_ref is not None:
        yield from targetref.check("spec.targetRef", spec.target_ref, _TOP)
    protocols: dict[int | None, str] = {}
    seen: set[tuple[str, int | None, str]] = set()
    for index, match in enumerate(spec.default.append_match or ()):
        path = f"spec.default.appendMatch[{index}]"
        protocol = match.protocol or TCP
        yield from _check_port(path, match.port, protocol)
        if protocol in _HTTP and protocols.setdefault(match.port, protocol) != protocol:
            yield Violation(
                f"{path}.port",
                "using the same port in multiple matches requires the same protocol for the following protocols: "
                f"[{' '.join(_HTTP)}]",
            )
        if (match.value, match.port, protocol) in seen:
            # The misspelled word is what clients of Kuma read.
            yield Violation(f"{path}.value", f"value {match.value} is already defiend for this port and protocol")
        seen.add((match.value, match.port, protocol))
        if protocol not in PROTOCOLS:
            accepted = ", ".join(map(gotext.quote, PROTOCOLS))
            yield Violation(f"{path}.protocol", f'"protocol" must be one of [{accepted}]')
        yield from _check_value(path, match, protocol)


def _check_port(path: str, port: int | None, protocol: str) -> Iterator[Violation]:
    """MySQL's server speaks first, so Envoy cannot wait for a name or look for a protocol: the port has to tell."""
    if port is None and protocol == "mysql":
        yield Violation(f"{path}.port", "port must be defined for Mysql protocol")
    if port is not None and not addresses.is_port(port):
        yield Violation(f"{path}.port", "port must be a valid (1-65535)")


def _check_value(path: str, match: "model.Match", protocol: str) -> Iterator[Violation]:
    if match.type == "CIDR":
        if not _is_cidr(match.value):
            yield Violation(f"{path}.value", "provided CIDR has incorrect value")
    elif match.type == "IP":
        if addresses.parse_ip(match.value) is None:
            yield Violation(f"{path}.value", "provided IP has incorrect value")
    elif match.type == "Domain":
        yield from _check_domain(path, match, protocol)
    else:
        reason = f"provided type {match.type} is not supported, one of Domain, IP, or CIDR is supported"
        yield Violation(f"{path}.type", reason)


def _check_domain(path: str, match: "model.Match", protocol: str) -> Iterator[Violation]:
    """A leading `*.` stands for any subdomain; HTTP routes of such a domain need a port to be put on."""
    if protocol in _WITHOUT_DOMAINS:
        yield Violation(f"{path}.protocol", f"protocol {protocol} is not supported for a domain")
    is_wildcard = match.value.startswith("*.")
    if is_wildcard and match.port is None and protocol in _HTTP:
        yield Violation(f"{path}.port", "wildcard domains doesn't work for all ports and layer 7 protocol")
    if match.value.startswith("*") and not is_wildcard:
        reason = "provided DNS has incorrect value, partial wildcard is currently not supported"
        yield Violation(f"{path}.value", reason)
    elif not addresses.is_dns_name(match.value.removeprefix("*.")):
        yield Violation(f"{path}.value", "provided DNS has incorrect value")


def _is_cidr(text: str) -> bool:
    """Whether the text is a network in the form of RFC 4632 or RFC 4291; bits of the host are let be."""
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit()) or "%" in address:
        return False
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True
