"""What is known of the mesh and how a question for it is answered, byte for byte."""

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kuma.apps.dataplane.dns import messages, records
from tests.kit import dns


def table(*rows: tuple[str, list[str]], **more: Any) -> records.Table:
    body = {"records": [{"name": name, "ips": ips} for name, ips in rows], "ttl": 30, **more}
    return records.read_table(json.dumps(body).encode())


KNOWN = table(("api.mesh", ["240.0.0.1", "::ffff:f000:1"]), ("old.mesh", ["240.0.0.2"]))


def answered(query: bytes, known: records.Table = KNOWN, **more: Any) -> dns.Message:
    found = known.answer(query, **more)
    assert found is not None
    return dns.read(found)


@pytest.mark.parametrize(
    ("asked", "kind", "addresses"),
    [
        ("api.mesh", dns.A, ["240.0.0.1"]),
        ("api.mesh", dns.AAAA, ["::ffff:240.0.0.1"]),
        ("old.mesh", dns.A, ["240.0.0.2"]),
        ("old.mesh", dns.AAAA, []),
        ("API.Mesh", dns.A, ["240.0.0.1"]),
    ],
)
def test_known_names(asked: str, kind: int, addresses: list[str]) -> None:
    got = answered(dns.question(asked, kind, 7))
    assert (got.number, got.code, got.is_authoritative) == (7, 0, True)
    assert got.question == (asked, kind, 1)
    assert got.answers == tuple((asked, kind, 30, each if ":" not in each else "::ffff:f000:1") for each in addresses)


@pytest.mark.parametrize(
    "query",
    [
        dns.question("other.mesh"),
        dns.question("mesh"),
        dns.question("deep.api.mesh"),
        dns.question("api.mesh", dns.HTTPS),
        dns.question("api.mesh", klass=3),
        dns.question("api.mesh", flags=0x8100),
        dns.question("api.mesh", flags=0x2100),
        dns.question("api.mesh", counts=(2, 0, 0)),
        dns.question("api.mesh", counts=(1, 1, 0)),
        dns.question("api.mesh", edns=1232)[:-1],
        dns.question("api.mesh")[:10] + b"\0\1" + dns.question("api.mesh")[12:],
        b"",
        b"\0" * 11,
    ],
    ids=[
        "another name", "a part of it", "below it", "another type", "another class", "an answer", "an update",
        "two questions", "answers in a question", "EDNS cut short", "a record that is not there", "nothing", "no header",
    ],
)  # fmt: skip
def test_everything_else_is_not_ours(query: bytes) -> None:
    assert KNOWN.answer(query) is None


@pytest.mark.parametrize("flags", [0x0000, 0x0100, 0x0010, 0x0110])
def test_wishes_of_the_client_are_repeated(flags: int) -> None:
    assert answered(dns.question("api.mesh", flags=flags)).flags == 0x8480 | flags


def test_a_client_with_edns_gets_edns() -> None:
    assert answered(dns.question("api.mesh", edns=4096)).options == 1232
    assert answered(dns.question("api.mesh")).options is None


def test_a_later_version_of_edns_is_refused() -> None:
    found = KNOWN.answer(dns.question("api.mesh", edns=1232, version=1))
    assert found is not None
    got = dns.read(found)
    assert (got.code, got.answers) == (0, ())
    assert found[-6] == 1, "the upper bits of the code, BADVERS"


MANY = table(("many.mesh", [f"240.0.1.{each}" for each in range(40)]))


@pytest.mark.parametrize(
    ("edns", "limit", "cut_off"),
    [
        (None, records.UDP_LIMIT, True),
        (None, records.TCP_LIMIT, False),
        (100, records.UDP_LIMIT, True),
        (600, records.UDP_LIMIT, True),
        (1232, records.UDP_LIMIT, False),
        (600, records.TCP_LIMIT, False),
    ],
)
def test_an_answer_is_no_larger_than_the_client_takes(edns: int | None, limit: int, cut_off: bool) -> None:
    got = answered(dns.question("many.mesh", edns=edns), MANY, limit=limit)
    assert (got.is_cut_off, len(got.answers)) == ((True, 0) if cut_off else (False, 40))


def test_an_answer_of_exactly_the_limit_is_whole() -> None:
    query = dns.question("many.mesh")
    whole = MANY.answer(query, records.TCP_LIMIT)
    assert whole is not None
    assert MANY.answer(query, len(whole)) == whole
    assert answered(query, MANY, limit=len(whole) - 1).is_cut_off


def test_the_end_of_a_name_may_be_written() -> None:
    assert answered(dns.question("a.mesh"), table(("a.mesh.", ["240.0.0.1"]))).addresses == ["240.0.0.1"]


@pytest.mark.parametrize(
    "record",
    [
        {"name": "", "ips": []},
        {"name": "a..mesh", "ips": []},
        {"name": "x" * 64, "ips": []},
        {"name": ".".join(["x" * 60] * 5), "ips": []},
        {"name": "nul\0.mesh", "ips": []},
        {"name": "a.mesh", "ips": ["240.0.0"]},
        {"name": "a.mesh", "ips": 5},
        {"name": 5, "ips": []},
        {"ips": []},
        "a.mesh",
    ],
)
def test_a_bad_record_does_not_take_others_along(record: Any) -> None:
    body = {"records": [record, {"name": "api.mesh", "ips": ["240.0.0.1"]}]}
    made = records.read_table(json.dumps(body).encode())
    assert len(made) == 1
    assert len(made.refused) == 1
    assert answered(dns.question("api.mesh"), made).addresses == ["240.0.0.1"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"records": 5}', b'{"ttl": "x"}', b'{"ttl": -1}', b'{"extraLabels": [1]}', b"\xff\xff"]
)
def test_a_document_that_is_none(body: bytes) -> None:
    with pytest.raises(ValueError):
        records.read_table(body)


def test_an_empty_document_knows_nothing() -> None:
    assert len(records.read_table(b'{"records":null,"ttl":30,"extraLabels":{"mesh":"m"}}')) == 0


@given(st.binary(max_size=600))
def test_any_bytes_may_come_in(raw: bytes) -> None:
    assert KNOWN.answer(raw) is None or raw[messages.HEADER :].lower().startswith((b"\3api\4mesh", b"\3old\4mesh"))
    if messages.is_question(raw):
        messages.is_malformed(raw)
        messages.type_of(raw)
        KNOWN.knows(raw)
        assert messages.bare_answer(raw, messages.SERVFAIL)[:2] == raw[:2]
        messages.is_answer_to(raw, raw[:2], raw)


_CHANGES = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), min_size=1, max_size=4)


@given(_CHANGES, st.integers(0, 60))
def test_a_damaged_question_is_answered_in_form_or_not_at_all(changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(dns.question("api.mesh", edns=1232))
    for at, value in changes:
        if at < len(raw):
            raw[at] = value
    query = bytes(raw[:length])
    found = KNOWN.answer(query)
    if found is not None:
        assert dns.read(found).number == struct.unpack_from("!H", query)[0]


@pytest.mark.parametrize(
    ("query", "malformed"),
    [
        (dns.question("example.com"), False),
        (dns.question("."), False),
        (dns.question("example.com", counts=(0, 0, 0)), True),
        (dns.question("example.com", counts=(2, 0, 0)), True),
        (dns.question("example.com")[:-1], True),
        (dns.question("example.com")[:12] + b"\xc0\x0c\0\1\0\1", True),
        (dns.question(".".join(["x" * 63] * 4)), True),
        (dns.question("example.com", flags=0x2900, counts=(0, 0, 0)), False),
    ],
    ids=["a name", "the root", "no question", "two", "cut short", "compressed", "too long", "an update"],
)
def test_form(query: bytes, malformed: bool) -> None:
    assert messages.is_malformed(query) is malformed


@pytest.mark.parametrize(
    ("answer", "fits"),
    [
        (dns.answer(dns.question("a.b"), "192.0.2.1"), True),
        (dns.answer(dns.question("A.B"), "192.0.2.1"), True),
        (dns.answer(dns.question("a.c"), "192.0.2.1"), False),
        (dns.answer(dns.question("a.b", dns.AAAA)), False),
        (dns.answer(dns.question("a.b", number=9)), False),
        (dns.question("a.b"), False),
        (dns.question("a.b")[:2] + b"\x81\x82" + b"\0" * 8, True),
        (dns.question("a.b")[:2] + b"\x81\x80" + b"\0" * 8, False),
        (b"\x12\x34\x81", False),
    ],
    ids=[
        "the same", "in another case", "another name", "another type", "another number", "no answer",
        "a failure without the question", "nothing at all", "no header",
    ],
)  # fmt: skip
def test_which_answer_belongs_to_a_question(answer: bytes, fits: bool) -> None:
    query = dns.question("a.b")
    assert messages.is_answer_to(answer, query[:2], query) is fits
