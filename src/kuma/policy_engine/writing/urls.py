"""Addresses of collectors in policies: whether a text is one, and its parts."""

import re
from typing import NamedTuple
from urllib import parse

from kuma.resources import addresses

_URL = re.compile(
    r"(?P<scheme>(?:ftp|tcp|udp|wss?|https?)://)?(?:[^\s/?#@]+@)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(?P<port>:\d{1,5})?(?:[/?#]\S*)?",
    re.IGNORECASE,
)
_HOST = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9._-]*[a-zA-Z0-9])?\.?")


class Parts(NamedTuple):
    """A URL taken apart (RFC 3986); texts are empty where a part is missing. `port` is the text after the colon."""

    scheme: str
    opaque: str
    user: str
    host: str
    port: str
    path: str
    query: str
    fragment: str


def is_url(text: str) -> bool:
    """Whether a collector can be behind the text: a host, with scheme, port and path as wanted.

    A single word is refused: it is more often a mistake than a host, unless a scheme or a port says so.
    """
    found = _URL.fullmatch(text)
    if found is None:
        return False
    host = found["host"]
    if host.startswith("["):
        return addresses.parse_ip(host[1:-1]) is not None
    if not _HOST.fullmatch(host) or ".." in host:
        return False
    return bool(found["scheme"] or found["port"] or "." in host)


def parts_of(text: str) -> Parts | None:
    """The parts of a URL that has a scheme; None where it cannot be read."""
    if not addresses.is_request_uri(text.partition("#")[0]) or text.startswith("/"):
        return None
    scheme, _, rest = text.partition(":")
    if not rest.startswith("/"):
        return Parts(scheme, rest, "", "", "", "", "", "")
    found = parse.urlsplit(text)
    user, _, address = found.netloc.rpartition("@")
    port = addresses.port_of(text) or ""
    host = address.removesuffix(f":{port}") if port else address.removesuffix(":")
    return Parts(found.scheme, "", user, host, port, found.path, found.query, found.fragment)


class Target(NamedTuple):
    """What is dialled behind a URL. `authority` is host and port as they were written."""

    host: str
    port: int
    path: str
    authority: str
    is_secure: bool


def target_of(text: str) -> Target:
    """What a URL that `is_url` accepts leads to. Without a scheme it is HTTP; a port that cannot be is the scheme's."""
    found = parse.urlsplit(text if "://" in text else f"//{text}")
    is_secure = found.scheme.lower() == "https"
    authority = found.netloc.rpartition("@")[2]
    default = 443 if is_secure else 80
    try:
        port = found.port or default
    except ValueError:
        port = default
    return Target(found.hostname or "", port, found.path, authority, is_secure)
