"""Questions over real sockets: answered from the table, or by a name server."""

import asyncio
import json
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kit import dns
from tests.kit.name_servers import ask, ask_all, name_server, serving

BODY = json.dumps(
    {"records": [{"name": "api.mesh", "ips": ["240.0.0.1"]}], "ttl": 30, "extraLabels": {"mesh": "m"}}
).encode()
NOBODY = ("127.0.0.1", 1)


def outside(query: bytes) -> list[bytes]:
    return [dns.answer(query, "192.0.2.1")]


def unknown(query: bytes) -> list[bytes]:
    return [dns.answer(query, code=3)]


async def test_names_of_the_mesh_are_answered_here_and_others_elsewhere() -> None:
    async with name_server(outside) as other, serving(other.address) as (made, address):
        made.take(BODY)
        assert dns.read(await ask(address, dns.question("api.mesh"))).addresses == ["240.0.0.1"]
        got = dns.read(await ask(address, dns.question("example.com", number=77)))
    assert (got.number, got.addresses) == (77, ["192.0.2.1"])
    assert [each for each, _ in other.asked] == ["udp"]


async def test_records_change_under_way() -> None:
    async with name_server(unknown) as other, serving(other.address) as (made, address):
        assert not made.configured.is_set()
        assert dns.read(await ask(address, dns.question("api.mesh"))).code == 3
        made.take(BODY)
        assert made.configured.is_set()
        assert dns.read(await ask(address, dns.question("api.mesh"))).code == 0
        with pytest.raises(ValueError):
            made.take(b"{")
        assert dns.read(await ask(address, dns.question("api.mesh"))).code == 0
        made.take(None)
        assert dns.read(await ask(address, dns.question("api.mesh"))).code == 3


async def test_a_name_of_the_mesh_exists_whatever_type_is_asked_for() -> None:
    async with name_server(unknown) as other, serving(other.address) as (made, address):
        made.take(BODY)
        got = dns.read(await ask(address, dns.question("API.mesh", dns.HTTPS)))
        assert (got.code, got.question, got.answers) == (0, ("API.mesh", dns.HTTPS, 1), ())
        assert dns.read(await ask(address, dns.question("other.mesh", dns.HTTPS))).code == 3


async def test_no_name_server_is_a_failure() -> None:
    async with serving() as (_, address):
        got = dns.read(await ask(address, dns.question("example.com", number=5)))
    assert (got.number, got.code, got.question) == (5, 2, ("example.com", 1, 1))


@pytest.mark.parametrize(
    "query",
    [dns.question("example.com", counts=(0, 0, 0)), dns.question("example.com")[:-1]],
    ids=["no question", "cut short"],
)
async def test_a_question_without_form_is_told_so(query: bytes) -> None:
    async with serving(NOBODY) as (_, address):
        answer = await ask(address, query)
    assert (answer[:2], answer[3] & 15) == (query[:2], 1)


async def test_an_update_passes_as_it_is() -> None:
    update = dns.question("example.com", 6, flags=0x2800, counts=(1, 0, 0))
    async with (
        name_server(lambda query: [query[:2] + b"\xa8\0" + query[4:]]) as other,
        serving(other.address) as (_, at),
    ):
        assert await ask(at, update) == update[:2] + b"\xa8\0" + update[4:]
    assert other.asked[0][1][2:] == update[2:]


async def test_many_at_once() -> None:
    async with name_server(outside) as other, serving(other.address) as (made, address):
        made.take(BODY)
        asked = [
            dns.question("api.mesh" if number % 2 else f"n{number}.example.com", number=number) for number in range(300)
        ]
        got = [dns.read(each) for each in await ask_all(address, asked)]
    assert sorted(each.number for each in got) == list(range(300))
    assert all(each.addresses == (["240.0.0.1"] if each.number % 2 else ["192.0.2.1"]) for each in got)


async def test_a_conversation_over_tcp() -> None:
    async with name_server(outside) as other, serving(other.address) as (made, address):
        made.take(BODY)
        reader, writer = await asyncio.open_connection(*address)
        for name, said in (("api.mesh", "240.0.0.1"), ("example.com", "192.0.2.1"), ("api.mesh", "240.0.0.1")):
            query = dns.question(name)
            writer.write(len(query).to_bytes(2) + query)
            answer = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
            assert dns.read(answer).addresses == [said]
        writer.write(b"\0\x03abc")
        assert await reader.read() == b"", "nonsense ends the conversation"
        writer.close()
    assert [each for each, _ in other.asked] == ["tcp"]


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=100), max_size=20))
async def test_nonsense_does_not_end_it(packets: list[bytes]) -> None:
    async with serving(NOBODY) as (made, address):
        made.take(BODY)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            for each in packets:
                way.sendto(each, address)
        assert dns.read(await ask(address, dns.question("api.mesh"))).addresses == ["240.0.0.1"]


async def test_what_it_counts() -> None:
    async with name_server(unknown) as other, serving(other.address) as (made, address):
        made.take(BODY)
        for name, kind in (("api.mesh", dns.A), ("api.mesh", dns.AAAA), ("a.b", dns.A), ("a.b", dns.TXT)):
            await ask(address, dns.question(name, kind))
        lines = made.exposition().splitlines()
    for line in (
        'kuma_dp_dns_queries_total{mesh="m",qtype="A",source="local"} 1',
        'kuma_dp_dns_queries_total{mesh="m",qtype="AAAA",source="local"} 1',
        'kuma_dp_dns_queries_total{mesh="m",qtype="A",source="upstream"} 1',
        'kuma_dp_dns_queries_total{mesh="m",qtype="other",source="upstream"} 1',
        'kuma_dp_dns_response_codes_total{mesh="m",rcode="noerror"} 2',
        'kuma_dp_dns_response_codes_total{mesh="m",rcode="nxdomain"} 2',
        'kuma_dp_dns_entries_total{mesh="m"} 1',
        'kuma_dp_dns_upstream_request_failure_count{mesh="m"} 0',
        'kuma_dp_dns_request_duration_seconds_bucket{mesh="m",le="+Inf"} 4',
        'kuma_dp_dns_request_duration_seconds_count{mesh="m"} 4',
        'kuma_dp_dns_upstream_request_duration_seconds_count{mesh="m"} 2',
    ):
        assert line in lines


async def test_metrics_can_be_read_by_prometheus() -> None:
    from prometheus_client.parser import text_string_to_metric_families

    async with serving() as (made, address):
        made.take(json.dumps({"records": [], "extraLabels": {"mesh": 'a"\\\n'}}).encode())
        await ask(address, dns.question("example.com"))
        families = {each.name: each for each in text_string_to_metric_families(made.exposition())}
    assert families["kuma_dp_dns_upstream_request_failure_count"].samples[0].labels == {"mesh": 'a"\\\n'}
    assert families["kuma_dp_dns_request_duration_seconds"].type == "histogram"
