"""ADS and SDS streams through their handlers, over calls in memory and a control plane in memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client
import pytest
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from kuma.base import errors
from kuma.plan import proxy
from kuma.servers import xds
from kuma.servers.xds import ads, intake
from kuma.services import metrics
from kuma.transport import stream
from tests.kit import control_plane as kit
from tests.protocol.xds import calls
from tests.protocol.xds.client import SHORT, snapshot

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
SDS = "/envoy.service.secret.v3.SecretDiscoveryService/"
CONTENT = {"cds": {"api": 1}, "eds": {"api": 1}, "lds": {"out": 1}, "sds": {"ca": 1}}


class World:
    """The handlers of a control plane with one proxy, and what was refused."""

    def __init__(self, cp: kit.ControlPlane) -> None:
        self.cp = cp
        self.refused: list[str] = []
        self.measured = metrics.Metrics(prometheus_client.CollectorRegistry(), "z")
        cp.publisher.initial = snapshot(**CONTENT)
        self.handlers = xds.build(
            xds.Deps(
                cp.proxies,
                "cp-1",
                refused=self.refused.append,
                now=cp.clock.steady,
                backoff=0.01,
                ads=self.measured.xds,
            )
        )

    @asynccontextmanager
    async def call(self, method: str = "StreamAggregatedResources", path: str = ADS) -> AsyncIterator[calls.Call]:
        """A call in progress; it is ended and must end well."""
        call = calls.Call()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.handlers[path + method](call))
            yield call
            call.ends()

    async def refusal(self, *messages: object, credential: str = "") -> stream.GrpcError:
        call = calls.Call(credential)
        for message in messages:
            call.says(message)
        with pytest.raises(stream.GrpcError) as refused:
            await self.handlers[ADS + "StreamAggregatedResources"](call)
        return refused.value


@pytest.fixture
async def world() -> World:
    cp = await kit.ControlPlane().prepare()
    await cp.create_dataplane("web-1")
    return World(cp)


async def test_a_whole_dialogue(world):
    async with world.call() as call:
        call.says(calls.request("cds", node=calls.node(features=["f"])))
        first = await call.hears()
        assert (first.type_url, first.nonce, len(first.resources)) == (SHORT["cds"], "1", 1)
        assert first.control_plane.identifier == "cp-1"
        feed = world.cp.publisher.feeds[0]
        assert feed.metadata == {"features": ["f"]}
        call.says(calls.request("cds", response_nonce="1", version_info=first.version_info))
        call.says(calls.request("lds"))
        second = await call.hears()
        assert (second.type_url, second.nonce) == (SHORT["lds"], "2")
        feed.publish(snapshot(**{**CONTENT, "cds": {"api": 2}}))
        assert (await call.hears()).nonce == "3"
        status = (await world.cp.insight("web-1")).subscriptions[0].status
        assert (status.cds.responses_sent, status.cds.responses_acknowledged) == (2, 1)
    assert not feed.is_attached
    assert not (await world.cp.insight("web-1")).is_online


@pytest.mark.parametrize(
    ("extensions", "lacking"),
    [
        ([], None),
        (["envoy.filters.network.tcp_proxy"], ["envoy.filters.network.kafka_broker"]),
        (["envoy.filters.network.tcp_proxy", "envoy.filters.network.kafka_broker"], None),
    ],
)
async def test_an_envoy_that_lists_its_extensions_lacks_the_others(world, extensions, lacking):
    async with world.call() as call:
        node = calls.node()
        for name in extensions:
            node.extensions.add(name=name)
        call.says(calls.request("cds", node=node))
        await call.hears()
        assert world.cp.publisher.feeds[0].metadata.get(proxy.LACKING) == lacking
        assert proxy.LACKING not in (await world.cp.insight("web-1")).metadata


async def test_streams_and_what_goes_over_them_are_counted(world):
    def counted(name: str, **labels: str) -> float | None:
        return world.measured.registry.get_sample_value(name, {"zone": "z", **labels})

    async with world.call() as call:
        call.says(calls.request("cds", node=calls.node()))
        first = await call.hears()
        assert counted("xds_streams_active") == 1
        call.says(calls.request("cds", response_nonce=first.nonce))
        call.says(discovery_pb2.DiscoveryRequest(type_url="made-up"))
        call.says(calls.request("lds"))
        await call.hears()
    assert counted("xds_streams_active") == 0
    cds = SHORT["cds"]
    assert counted("xds_requests_received", type_url=cds, confirmation="NONE") == 1
    assert counted("xds_requests_received", type_url=cds, confirmation="ACK") == 1
    assert counted("xds_requests_received", type_url="other", confirmation="NONE") == 1
    assert counted("xds_responses_sent", type_url=cds) == 1


async def test_delta(world):
    async with world.call("DeltaAggregatedResources") as call:
        call.says(calls.delta_request("cds", node=calls.node()))
        first = await call.hears(discovery_pb2.DeltaDiscoveryResponse)
        assert [each.name for each in first.resources] == ["api"]
        call.says(calls.delta_request("cds", response_nonce=first.nonce))
        world.cp.publisher.feeds[0].publish(snapshot())
        assert list((await call.hears(discovery_pb2.DeltaDiscoveryResponse)).removed_resources) == ["api"]


async def test_secrets_alone(world):
    async with world.call("StreamSecrets", SDS) as call:
        call.says(discovery_pb2.DiscoveryRequest(node=calls.node(), resource_names=["ca"]))
        assert (await call.hears()).type_url == SHORT["sds"]


async def test_a_rejection_is_reported_and_sent_again(world):
    watch = world.cp.store.watch()
    async with asyncio.TaskGroup() as tasks, world.call() as call:
        loop = tasks.create_task(world.cp.insights.run())
        call.says(calls.request("cds", node=calls.node()))
        first = await call.hears()
        error = status_pb2.Status(code=13, message="Error adding/updating cluster(s) api: no")
        call.says(calls.request("cds", response_nonce=first.nonce, error_detail=error))
        async for change in watch:
            if change.resource.spec.subscriptions[0].status.cds.responses_rejected:
                break
        world.cp.clock.seconds = 0.02
        again = await call.hears()
        assert (again.version_info, again.nonce) == (first.version_info, "2")
        last_error = (await world.cp.insight("web-1")).subscriptions[0].status.cds.last_error
        assert last_error.resource == "api"
        loop.cancel()


async def test_a_client_that_does_not_read_holds_one_revision(world):
    async with world.call() as call:
        call.says(calls.request("eds", "api", node=calls.node()))
        first = await call.hears()
        call.may_send.clear()
        call.says(calls.request("eds", "api", response_nonce=first.nonce))
        feed = world.cp.publisher.feeds[0]
        feed.publish(snapshot(**{**CONTENT, "eds": {"api": 2}}))
        await call.waits_for_client.wait()
        for version in range(3, 9):
            feed.publish(snapshot(**{**CONTENT, "eds": {"api": version}}))
        for _ in range(10 * ads.INBOX):
            call.says(calls.request("rds", "x"))
        call.may_send.set()
        stuck = await call.hears()
        call.says(calls.request("eds", "api", response_nonce=stuck.nonce))
        latest = await call.hears()
        while latest.type_url != SHORT["eds"]:
            latest = await call.hears()
        assert latest.resources[0].value == b"api=8"


async def test_a_flood_of_requests_is_left_to_flow_control(world):
    async with world.call() as call:
        call.says(calls.request("cds", node=calls.node()))
        await call.hears()
        call.may_send.clear()
        world.cp.publisher.feeds[0].publish(snapshot(lds={"out": 1}))
        call.says(calls.request("lds"))
        await call.waits_for_client.wait()
        for _ in range(10 * ads.INBOX):
            call.says(calls.request("cds"))
        for _ in range(ads.INBOX):
            await call.takes.acquire()
        for _ in range(100):
            await asyncio.sleep(0)
        assert call.received <= ads.INBOX + 3
        call.may_send.set()


@pytest.mark.parametrize(
    "messages",
    [
        [calls.request("eds", *(f"s-{number}" for number in range(20)), node=calls.node())],
        [discovery_pb2.DiscoveryRequest(node=calls.node(), type_url=f"t-{number}") for number in range(20)],
    ],
    ids=["names", "types"],
)
async def test_what_a_stream_may_ask_for_is_bounded(world, monkeypatch, messages):
    monkeypatch.setattr(ads, "REMEMBERED", 10)
    refused = await world.refusal(*messages)
    assert refused.status is stream.Status.RESOURCE_EXHAUSTED
    assert world.refused == ["invalid"]
    assert not world.cp.publisher.feeds[0].is_attached


def test_a_rejection_of_megabytes_is_cut() -> None:
    error = status_pb2.Status(code=13, message="no" * ads.WORDS)
    read = ads.state_request(calls.request("cds", response_nonce="1", error_detail=error), SHORT["cds"])
    assert read.error == (13, "no" * (ads.WORDS // 2))


async def test_a_client_that_breaks_off_leaves_nothing_behind(world):
    call = calls.Call()
    call.says(calls.request("cds", node=calls.node()))
    call.breaks()
    await world.handlers[ADS + "StreamAggregatedResources"](call)
    assert not world.cp.publisher.feeds[0].is_attached


async def test_a_cancelled_stream_leaves_nothing_behind(world):
    call = calls.Call()
    call.says(calls.request("cds", node=calls.node()))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(world.handlers[ADS + "StreamAggregatedResources"](call))
        await call.hears()
        task.cancel()
    assert not world.cp.publisher.feeds[0].is_attached


async def test_a_call_without_a_request_is_no_error(world):
    async with world.call():
        pass
    assert world.refused == []


@pytest.mark.parametrize(
    ("messages", "status", "text", "reason"),
    [
        ([b"\xff\xff"], stream.Status.INVALID_ARGUMENT, "malformed request", "malformed"),
        ([calls.request("cds")], stream.Status.UNKNOWN, "Envoy ID must not be nil", "invalid"),
        ([calls.request("cds", node=calls.node("x"))], stream.Status.UNKNOWN, "after the dot", "invalid"),
        (
            [calls.request("cds", node=calls.node("default.none"))],
            stream.Status.UNKNOWN,
            'resource "default.none" not found; create a Dataplane in Kuma CP first',
            "unknown-proxy",
        ),
        (
            [calls.request("cds", node=calls.node()), calls.request("lds", node=calls.node("default.other"))],
            stream.Status.UNKNOWN,
            "the node of a stream cannot change",
            "invalid",
        ),
        (
            [calls.request("cds", node=calls.node()), b"\xff\xff"],
            stream.Status.INVALID_ARGUMENT,
            "malformed request",
            "malformed",
        ),
        (
            [discovery_pb2.DiscoveryRequest(node=calls.node())],
            stream.Status.INVALID_ARGUMENT,
            "type URL is required for ADS",
            "invalid",
        ),
    ],
)
async def test_refusals(world, messages, status, text, reason):
    refusal = await world.refusal(*messages)
    assert refusal.status is status
    assert text in refusal.message
    assert world.refused == [reason]
    assert not any(feed.is_attached for feed in world.cp.publisher.feeds)


async def test_bad_credentials():
    class Strict:
        async def validate_dataplane(self, token: str, dataplane: object) -> None:
            raise errors.Unauthenticated("token is expired")

    cp = await kit.ControlPlane(validator=Strict()).prepare()
    await cp.create_dataplane("web-1")
    world = World(cp)
    refusal = await world.refusal(calls.request("cds", node=calls.node()), credential="secret-token")
    assert refusal.status is stream.Status.UNAUTHENTICATED
    assert refusal.message == "authentication failed: token is expired"
    assert world.refused == ["unauthenticated"]


def test_metadata_is_read_as_json():
    given = {"a": "x", "b": True, "n": 3, "f": 1.5, "l": [1, {"k": None}], "m": {"deep": "y"}}
    assert intake.node_of(calls.node(**given)).metadata == given
