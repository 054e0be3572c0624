"""Names of the mesh and their answers, prepared so that a question costs one look-up.

A question is looked for by its own bytes, in lower case: names differ in nothing but case (RFC 4343), and the answer
repeats the question as it was asked, which resolvers that mix cases on purpose insist on.
"""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from typing import Any

from kuma.apps.dataplane.dns import messages

UDP_LIMIT = 512
"""Bytes of an answer that every client takes over UDP."""
TCP_LIMIT = 65_535

_DEFAULT_TTL = 30
_LONGEST_TTL = 2**31 - 1
_ONE_QUESTION = b"\0\x01\0\0\0\0"
_POINTER_TO_QUESTION = b"\xc0\x0c"
_OPTIONS = b"\0\0\x29"
"""Root name and type of the EDNS record that may follow a question."""
_OUR_OPTIONS = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
"""EDNS version 0, answers of up to 1,232 bytes, nothing else."""
_BAD_VERSION = b"\0\0\x29\x04\xd0\x01\0\0\0\0\0"
_FLAGS = {
    desired | disabled: bytes((0x84 | desired, 0x80 | disabled)) for desired in (0, 0x01) for disabled in (0, 0x10)
}
"""Second header word by "recursion desired" and "checking disabled": an authoritative answer, recursion available."""
_CUT_OFF = {key: bytes((each[0] | 0x02, each[1])) for key, each in _FLAGS.items()}


class Table:
    """What is known: answers by question. `refused` says what of the configuration is left out, and why."""

    __slots__ = ("_answers", "_names", "labels", "refused")

    def __init__(self, answers: Mapping[bytes, Sequence[bytes]], labels: Mapping[str, str], refused: Sequence[str]):
        """`answers`: records of each question, without their names; `labels` are those of the metrics."""
        self._answers = {asked: _Answer(found) for asked, found in answers.items()}
        self._names = {asked[:-4] for asked in answers}
        self.labels = labels
        self.refused = refused

    def __len__(self) -> int:
        return len(self._names)

    def knows(self, query: bytes) -> bool:
        """Whether the name of a question is one of ours, of whatever type the question is."""
        try:
            end = messages.question_end(query)
        except ValueError:
            return False
        return query[messages.HEADER : end - 4].lower() in self._names

    def answer(self, query: bytes, limit: int = UDP_LIMIT) -> bytes | None:
        """The answer, of no more bytes than the client takes; None for what is not ours to answer.

        `limit` holds where the client does not say itself what it takes over UDP. Any bytes may come in.
        """
        # A length is never 0 before the end of a name, and no known name has a 0 in it: no need to walk the labels.
        end = query.find(b"\0", messages.HEADER) + 5
        found = self._answers.get(query[messages.HEADER : end].lower())
        if found is None or query[2] & 0xF8 or query[4:10] != _ONE_QUESTION:
            return None
        flags = query[2] & 0x01 | query[3] & 0x10
        if query[10:12] == b"\0\0":
            if found.size + end <= limit:
                return b"".join((query[:2], _FLAGS[flags], found.counts, query[messages.HEADER : end], found.records))
            return query[:2] + _CUT_OFF[flags] + _ONE_QUESTION + b"\0\0" + query[messages.HEADER : end]
        if query[10:12] != b"\0\x01" or query[end : end + 3] != _OPTIONS or len(query) < end + 11:
            return None
        return found.to_client_with_options(query, end, flags, limit)


class _Answer:
    """One prepared answer."""

    __slots__ = ("counts", "counts_with_options", "records", "size")

    def __init__(self, records: Sequence[bytes]) -> None:
        self.records = b"".join(records)
        self.size = len(self.records)
        many = len(records).to_bytes(2)
        self.counts = b"\0\x01" + many + b"\0\0\0\0"
        self.counts_with_options = b"\0\x01" + many + b"\0\0\0\x01"

    def to_client_with_options(self, query: bytes, end: int, flags: int, limit: int) -> bytes:
        """The answer to a client that speaks EDNS, which says how large it may be (RFC 6891)."""
        question = query[messages.HEADER : end]
        if query[end + 6]:  # no other version is known
            return query[:2] + _FLAGS[flags] + _ONE_QUESTION + b"\0\x01" + question + _BAD_VERSION
        largest = max(limit, int.from_bytes(query[end + 3 : end + 5]))
        if self.size + end + len(_OUR_OPTIONS) <= largest:
            head = query[:2] + _FLAGS[flags] + self.counts_with_options
            return b"".join((head, question, self.records, _OUR_OPTIONS))
        return query[:2] + _CUT_OFF[flags] + _ONE_QUESTION + b"\0\x01" + question + _OUR_OPTIONS


EMPTY = Table({}, {}, ())


def read_table(body: bytes) -> Table:
    """The table of a document `{"records": [{"name", "ips"}], "ttl", "extraLabels"}`; ValueError where it is none.

    A record that cannot be answered is left out, so that it does not take the others along.
    """
    document = json.loads(body)
    ttl, labels = _fields(document)
    answers: dict[bytes, list[bytes]] = {}
    refused: list[str] = []
    for each in document.get("records") or ():
        try:
            name, addresses = messages.encode_name(each["name"]), list(map(ipaddress.ip_address, each["ips"] or ()))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            refused.append(f"{each}: {error}")
            continue
        for kind, version in ((messages.IPV4, 4), (messages.IPV6, 6)):
            packed = (address.packed for address in addresses if address.version == version)
            answers[name + kind] = [
                _POINTER_TO_QUESTION + kind + ttl.to_bytes(4) + len(address).to_bytes(2) + address for address in packed
            ]
    return Table(answers, labels, refused)


def _fields(document: Any) -> tuple[int, dict[str, str]]:
    if not isinstance(document, dict) or not isinstance(document.get("records") or [], list):
        raise ValueError("DNS configuration is not an object with records")
    ttl = document.get("ttl", _DEFAULT_TTL)
    if not isinstance(ttl, int) or not 0 <= ttl <= _LONGEST_TTL:
        raise ValueError(f"DNS configuration has no usable ttl: {ttl!r}")
    labels = document.get("extraLabels") or {}
    if not isinstance(labels, dict):
        raise ValueError("DNS configuration has no usable extraLabels")
    return ttl, {str(key): str(value) for key, value in labels.items()}
