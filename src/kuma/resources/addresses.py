"""Rules of addresses, ports and URLs as Kuma applies them; Go's parsers decide what an address is."""

import ipaddress
import re
from collections.abc import Iterator
from urllib import parse

from kuma.base.errors import Violation

PORT_RANGE = "port must be in the range [1, 65535]"
VALID_PORT = "port must be a valid (1-65535)"
_DNS_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62}(\.[a-zA-Z0-9_][a-zA-Z0-9_-]{0,62})*[._]?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_ip(text: str) -> Ip | None:
    """The address, IPv4 where it is one mapped into IPv6; None where the text is none (zone ids are not taken)."""
    if "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, ipaddress.IPv6Address) else found


def is_dns_name(text: str) -> bool:
    """Whether the text can be a DNS name (underscores allowed, as resolvers do)."""
    return len(text.replace(".", "")) <= 255 and parse_ip(text) is None and _DNS_NAME.fullmatch(text) is not None


def is_port(number: int) -> bool:
    """Whether the number can be a port."""
    return 1 <= number <= 65535


def overlap(one: str, other: str) -> bool:
    """Whether two listeners on these addresses would clash: equal, or one of them means every address."""
    first, second = parse_ip(one), parse_ip(other)
    if first is None or second is None:
        return False
    return first.is_unspecified or second.is_unspecified or first == second


def check_port(path: str, number: int) -> Iterator[Violation]:
    """A violation where the number is no port."""
    if not is_port(number):
        yield Violation(path, PORT_RANGE)


def check_address(path: str, address: str) -> Iterator[Violation]:
    """A violation where the text is neither an IP address that one host can have nor a domain name."""
    if not address:
        yield Violation(path, "address can't be empty")
    elif address in ("0.0.0.0", "::"):
        yield Violation(path, "must not be 0.0.0.0 or ::")
    elif parse_ip(address) is None and not is_dns_name(address):
        yield Violation(path, "address has to be valid IP address or domain name")


def check_valid_port(path: str, number: int) -> Iterator[Violation]:
    """As `check_port`, in the words of new kinds."""
    if not is_port(number):
        yield Violation(path, VALID_PORT)


def check_host(path: str, host: str) -> Iterator[Violation]:
    """A violation where the text is neither an IP address nor a hostname, in the words of new kinds."""
    if parse_ip(host) is None and not is_dns_name(host):
        yield Violation(path, "address has to be a valid IP or hostname")


def is_request_uri(text: str) -> bool:
    """Whether the text is an absolute path or an absolute URI, as the target of an HTTP request is (RFC 9112, 3.2)."""
    if not text or _CONTROL.search(text):
        return False
    found = _SCHEME.fullmatch(text)
    rest = found.group(2) if found else text
    if found and not rest.startswith("/"):
        return bool(rest) and not _BROKEN_ESCAPE.search(rest)
    if not rest.startswith("/") or _BROKEN_ESCAPE.search(rest.split("?", 1)[0]):
        return False
    return port_of(text) is not None


def port_of(url: str) -> str | None:
    """The port that a URL writes, empty where it writes none; None where its authority cannot be read.

    Digits of any length are a port here, as in Go: whether it exists is for the caller to say.
    """
    try:
        authority = parse.urlsplit(url).netloc.rpartition("@")[2]
    except ValueError:
        return None
    if authority.endswith("]"):
        return ""
    port = authority.rpartition(":")[2] if ":" in authority else ""
    return port if not port or (port.isascii() and port.isdigit()) else None


def split_host_port(text: str) -> tuple[str, str] | None:
    """Host and port of `host:port` or `[v6]:port`; None where the text has another form."""
    host, colon, port = text.rpartition(":")
    if not colon:
        return None
    if host.startswith("["):
        return (host[1:-1], port) if host.endswith("]") and "]" not in host[1:-1] else None
    return None if any(char in host for char in ":[]") or any(char in port for char in "[]") else (host, port)
