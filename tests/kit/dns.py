"""DNS messages written and read without our own code, so that a mistake there is not made twice. Source: RFC 1035, 6891."""

import ipaddress
import struct
from dataclasses import dataclass

A, AAAA, TXT, HTTPS, OPT = 1, 28, 16, 65, 41


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was read; `answers` are name, type, TTL and address (other data in hex), `options` EDNS' size."""

    number: int
    flags: int
    question: tuple[str, int, int] | None
    answers: tuple[tuple[str, int, int, str], ...]
    options: int | None

    @property
    def code(self) -> int:
        """The response code, without EDNS' upper bits."""
        return self.flags & 15

    @property
    def is_authoritative(self) -> bool:
        """Whether the sender answers for the name itself."""
        return bool(self.flags & 0x0400)

    @property
    def is_cut_off(self) -> bool:
        """Whether the whole answer is to be had over TCP alone."""
        return bool(self.flags & 0x0200)

    @property
    def addresses(self) -> list[str]:
        """What the answers say."""
        return [each[3] for each in self.answers]


def name(text: str) -> bytes:
    """A name, in the case it is written in."""
    return b"".join(bytes([len(each)]) + each.encode() for each in text.split(".") if each) + b"\0"


def question(
    asked: str,
    kind: int = A,
    number: int = 0x1234,
    *,
    flags: int = 0x0100,
    klass: int = 1,
    edns: int | None = None,
    version: int = 0,
    counts: tuple[int, int, int] = (1, 0, 0),
) -> bytes:
    """A question; with `edns` the client says that it takes so many bytes."""
    options = b"" if edns is None else b"\0" + struct.pack("!HHBBHH", OPT, edns, 0, version, 0, 0)
    head = struct.pack("!HHHHHH", number, flags, *counts, 0 if edns is None else 1)
    return head + name(asked) + struct.pack("!HH", kind, klass) + options


def answer(query: bytes, *addresses: str, code: int = 0, flags: int = 0x8180) -> bytes:
    """What a name server says to a query, with a TTL of a minute."""
    _, end = _name(query, 12)
    records = b""
    for each in map(ipaddress.ip_address, addresses):
        records += (
            b"\xc0\x0c" + struct.pack("!HHIH", A if each.version == 4 else AAAA, 1, 60, len(each.packed)) + each.packed
        )
    head = query[:2] + struct.pack("!HHHHH", flags | code, 1, len(addresses), 0, 0)
    return head + query[12 : end + 4] + records


def read(raw: bytes) -> Message:
    """A message, read to its last byte."""
    number, flags, asked, answered, authorities, more = struct.unpack_from("!HHHHHH", raw)
    assert not authorities
    at, said = 12, None
    if asked:
        text, at = _name(raw, at)
        said = (text, *struct.unpack_from("!HH", raw, at))
        at += 4
    records, options = [], None
    for index in range(answered + more):
        owner, at = _name(raw, at)
        kind, klass, ttl, size = struct.unpack_from("!HHIH", raw, at)
        at += 10 + size
        packed = raw[at - size : at]
        assert len(packed) == size
        if index < answered:
            records.append((owner, kind, ttl, str(ipaddress.ip_address(packed)) if size in (4, 16) else packed.hex()))
        elif kind == OPT:
            options = klass
    assert at == len(raw), "bytes behind the last record"
    return Message(number, flags, said, tuple(records), options)


def _name(raw: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    while length := raw[at]:
        if length >= 0xC0:
            rest, _ = _name(raw, int.from_bytes(raw[at : at + 2]) & 0x3FFF)
            return ".".join([*labels, rest]), at + 2
        labels.append(raw[at + 1 : at + 1 + length].decode())
        at += 1 + length
    return ".".join(labels), at + 1
