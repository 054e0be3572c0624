"""Whom questions go to that are not of the mesh, and which answers count."""

import asyncio
import os
from pathlib import Path

import pytest

from kuma.apps.dataplane.dns import resolv_conf, upstream
from tests.kit import dns
from tests.kit.name_servers import name_server

NOBODY = ("127.0.0.1", 1)
QUERY = dns.question("WwW.example.com", number=500, edns=1232)


async def asked(*servers: upstream.Server, query: bytes = QUERY, rounds: tuple[float, ...] = (5.0,)) -> bytes | None:
    resolver = upstream.Resolver(lambda: servers, rounds, 20)
    ended: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    resolver.ask(query, ended.set_result)
    return await asyncio.wait_for(ended, 30)


def good(query: bytes) -> list[bytes]:
    return [dns.answer(query, "192.0.2.1")]


def silent(query: bytes) -> list[bytes]:
    return []


def addresses(answer: bytes | None) -> list[str]:
    assert answer is not None
    return dns.read(answer).addresses


async def test_the_message_passes_as_it_is_under_another_number() -> None:
    async with name_server(good) as first:
        numbers = set()
        for _ in range(4):
            answer = await asked(first.address)
            assert answer is not None
            assert answer[:2] == QUERY[:2]
            (_, sent) = first.asked[-1]
            assert sent[2:] == QUERY[2:]
            numbers.add(sent[:2])
    assert len(numbers) > 1


async def test_an_answer_that_was_cut_off_is_for_the_client_to_ask_again() -> None:
    async with name_server(lambda query: [dns.answer(query, flags=0x8380)]) as first:
        answer = await asked(first.address)
    assert answer is not None
    assert dns.read(answer).is_cut_off


@pytest.mark.parametrize("code", [2, 4, 5])
async def test_a_server_that_cannot_answer_gives_way_to_the_next(code: int) -> None:
    async with name_server(lambda query: [dns.answer(query, code=code)]) as first, name_server(good) as second:
        assert addresses(await asked(first.address, second.address)) == ["192.0.2.1"]
        answer = await asked(NOBODY, first.address, NOBODY, rounds=(1.0, 1.0))
    assert answer is not None
    assert dns.read(answer).code == code, "better than no word at all"
    assert len(first.asked) == 2, "and nobody is asked again"


async def test_a_name_that_does_not_exist_is_an_answer() -> None:
    async with name_server(lambda query: [dns.answer(query, code=3)]) as first, name_server(good) as second:
        answer = await asked(first.address, second.address)
    assert answer is not None
    assert dns.read(answer).code == 3
    assert not second.asked


async def test_where_nobody_listens_the_next_is_asked_at_once() -> None:
    async with name_server(good) as second:
        assert addresses(await asked(NOBODY, second.address, rounds=(1000.0,))) == ["192.0.2.1"]


async def test_a_silent_server_costs_its_time_and_is_asked_again() -> None:
    async with name_server(silent) as first:
        assert await asked(first.address, rounds=(0.01, 0.01)) is None
        assert len(first.asked) == 2


async def test_the_next_server_is_asked_after_a_silent_one() -> None:
    async with name_server(silent) as first, name_server(good) as second:
        assert addresses(await asked(first.address, second.address, rounds=(0.01, 5.0))) == ["192.0.2.1"]


async def test_what_is_no_answer_is_passed_over() -> None:
    def forged(query: bytes) -> list[bytes]:
        number = bytes((query[0] ^ 1, query[1]))
        wrong_name = dns.answer(dns.question("evil.example.com"), "203.0.113.1")
        return [
            number + dns.answer(query, "203.0.113.1")[2:],
            query[:2] + wrong_name[2:],
            query,
            b"",
            dns.answer(query, "192.0.2.1"),
        ]

    async with name_server(forged) as first:
        assert addresses(await asked(first.address)) == ["192.0.2.1"]


async def test_no_server_no_answer() -> None:
    assert await asked() is None
    assert await asked(("256.0.0.1", 53)) is None


async def test_what_comes_on_top_of_the_limit_fails_at_once() -> None:
    heard: list[bytes | None] = []
    async with name_server(silent) as first:
        resolver = upstream.Resolver(lambda: [first.address], (1000.0,), 1000.0)
        for _ in range(upstream.MOST_AT_ONCE + 3):
            resolver.ask(QUERY, heard.append)
        assert heard == [None] * 3
        resolver.close()
        resolver.ask(QUERY, heard.append)
        assert len(heard) == 3, "there is room again"
        resolver.close()


async def test_over_tcp() -> None:
    async with name_server(lambda query: [dns.answer(query, code=5)]) as first, name_server(good) as second:
        resolver = upstream.Resolver(lambda: [NOBODY, first.address, second.address])
        assert addresses(await resolver.ask_over_tcp(QUERY)) == ["192.0.2.1"]
        assert [each for each, _ in first.asked + second.asked] == ["tcp", "tcp"]
        refused = await upstream.Resolver(lambda: [first.address, NOBODY]).ask_over_tcp(QUERY)
        assert refused is not None
        assert dns.read(refused).code == 5
    async with name_server(silent) as first, name_server(lambda query: [b"\0" * 12]) as second:
        assert await upstream.Resolver(lambda: [first.address, second.address]).ask_over_tcp(QUERY) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("nameserver 10.0.0.10\nsearch svc.cluster.local\noptions ndots:5\n", ["10.0.0.10"]),
        (
            "# nameserver 1.1.1.1\n;nameserver 1.1.1.1\n\tnameserver\t::1 # here\nnameserver fe80::1%eth0",
            ["::1", "fe80::1%eth0"],
        ),
        ("nameserver\nnameserver dns.example.com\nnameservers 1.1.1.1\n", []),
    ],
)
def test_name_servers(text: str, found: list[str]) -> None:
    assert resolv_conf.name_servers(text) == found


def test_a_resolv_conf_is_read_again_after_it_changed(tmp_path: Path) -> None:
    now = 0.0
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 127.0.0.1\nnameserver 192.0.2.1\n")
    conf = resolv_conf.ResolvConf(str(path), own=[("127.0.0.1", 53)], clock=lambda: now)
    assert conf.servers() == (("192.0.2.1", 53),)
    new = tmp_path / "new"
    new.write_text("nameserver 192.0.2.2\n")
    os.replace(new, path)
    assert conf.servers() == (("192.0.2.1", 53),), "looks cost time"
    now = 10.0
    assert conf.servers() == (("192.0.2.2", 53),)
    path.unlink()
    now = 20.0
    assert conf.servers() == (("192.0.2.2", 53),), "better than none"


def test_without_a_resolv_conf_there_is_no_server(tmp_path: Path) -> None:
    assert resolv_conf.ResolvConf(str(tmp_path / "absent")).servers() == ()
