"""What insights show, and when they are written."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from kuma.discovery import resources as xds
from kuma.resources import resource as res
from kuma.resources.kinds import dataplaneinsight as kind
from kuma.services.insights import insight_kinds
from kuma.services.proxies import nodes
from kuma.store import protocol
from tests.kit import control_plane as kit

METADATA = {
    "version": {
        "kumaDp": {"version": "2.14.3", "gitTag": "v2.14.3", "gitCommit": "c", "buildDate": "d"},
        "envoy": {"version": "1.38.2", "build": "b", "kumaDpCompatible": True},
    },
    "dynamicMetadata": {"version.dependencies.coredns": "1.0", "HOST_IP": "10.0.0.1"},
}
ERROR = kind.LastError("no", "out", "kri_mtp_default____p_")


@dataclass
class Identity:
    expires: datetime = datetime(2027, 1, 1, tzinfo=UTC)
    generated: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    regenerations: int = 2
    issued_backend: str = "ca-1"
    supported_backends: tuple[str, ...] = ("ca-1", "ca-2")


@pytest.fixture
async def cp() -> kit.ControlPlane:
    prepared = await kit.ControlPlane().prepare()
    await prepared.create_dataplane("web-1")
    return prepared


def connected(cp: kit.ControlPlane):
    return cp.proxies.connect(nodes.Node("default.web-1", metadata=METADATA), "")


async def test_one_stream_from_start_to_end(cp):
    session = await connected(cp)
    cp.publisher.feeds[0].identity = Identity()
    for type_url in (xds.CLUSTER, xds.ENDPOINT, xds.SECRET):
        session.sent(type_url)
    session.acknowledged(xds.CLUSTER)
    session.acknowledged(xds.SECRET)
    cp.clock.seconds = 5
    session.rejected(xds.ENDPOINT, "no")
    insight = await cp.insight("web-1")
    [subscription] = insight.subscriptions
    assert insight.is_online
    assert subscription.control_plane_instance_id == "cp-1"
    assert subscription.connect_time == cp.clock.wall() - timedelta(seconds=5)
    status = subscription.status
    assert status.last_update_time == cp.clock.wall()
    assert status.total == kind.DiscoveryServiceStats(3, 2, 1)
    assert status.cds == kind.DiscoveryServiceStats(1, 1)
    assert status.eds == kind.DiscoveryServiceStats(1, 0, 1, kind.LastError("no"))
    assert status.lds == status.rds == kind.DiscoveryServiceStats()
    assert subscription.version.kuma_dp == kind.KumaDpVersion("2.14.3", "v2.14.3", "c", "d", True)
    assert subscription.version.envoy == kind.EnvoyVersion("1.38.2", "b", True)
    assert subscription.version.dependencies == {"coredns": "1.0"}
    assert insight.metadata == METADATA
    assert insight.mtls == kind.MTLS(Identity.expires, Identity.generated, 2, "ca-1", ("ca-1", "ca-2"))
    session.close()
    insight = await cp.insight("web-1")
    assert insight.subscriptions[0].disconnect_time == cp.clock.wall()
    assert not insight.is_online


async def test_what_the_agent_is_told_about_collectors_is_shown(cp):
    session = await connected(cp)
    session.sent(xds.LISTENER)
    assert (await cp.insight("web-1")).open_telemetry is None
    backend = b'{"backends":[{"name":"main","envPolicy":{"mode":"Optional"},"logs":{"enabled":true}}]}'
    cp.publisher.feeds[0].documents["otel"] = backend
    session.sent(xds.LISTENER)
    (shown,) = (await cp.insight("web-1")).open_telemetry.backends
    assert shown == kind.Backend("main", logs=kind.Signal(enabled=True, env_allowed=True, state="ready"))


async def test_the_newest_open_stream_says_which_certificate_a_proxy_has(cp):
    first, second = await connected(cp), await connected(cp)
    older, newer = cp.publisher.feeds
    older.identity, newer.identity = Identity(issued_backend="old"), Identity(issued_backend="new")
    first.sent(xds.CLUSTER)
    assert (await cp.insight("web-1")).mtls.issued_backend == "new"
    second.close()
    assert (await cp.insight("web-1")).mtls.issued_backend == "old"
    first.close()
    assert (await cp.insight("web-1")).mtls is None, "a proxy that went away shows no certificate"


async def test_a_control_plane_that_stops_leaves_what_it_knows_of_certificates(cp):
    """Permissive clients of the next one must not fall back to plaintext until its proxies have come."""
    session = await connected(cp)
    cp.publisher.feeds[0].identity = Identity()
    cp.proxies.retire()
    session.close()
    insight = await cp.insight("web-1")
    assert not insight.is_online
    assert insight.mtls.issued_backend == "ca-1"


async def test_an_error_stands_until_the_type_is_acknowledged(cp):
    session = await connected(cp)
    connection = session._connection
    connection.rejected(xds.LISTENER, ERROR)
    connection.acknowledged(xds.CLUSTER)
    assert (await cp.insight("web-1")).subscriptions[0].status.lds.last_error == ERROR
    connection.acknowledged(xds.LISTENER)
    assert (await cp.insight("web-1")).subscriptions[0].status.lds == kind.DiscoveryServiceStats(0, 1, 1)


async def test_an_error_about_secrets_stands_in_the_total(cp):
    session = await connected(cp)
    session._connection.rejected(xds.SECRET, ERROR)
    assert (await cp.insight("web-1")).subscriptions[0].status.total.last_error == ERROR


async def test_a_proxy_whose_configuration_cannot_be_made_says_so_at_once(cp):
    await connected(cp)
    tell = cp.publisher.feeds[0].failed
    tell("no certificate for web-1")
    found = (await cp.insight("web-1")).subscriptions[0].status.total.last_error
    assert found == kind.LastError("the proxy keeps an older configuration: no certificate for web-1")
    tell("")
    assert (await cp.insight("web-1")).subscriptions[0].status.total.last_error is None


async def test_a_rejection_names_resource_and_author(cp):
    session = await connected(cp)
    feed = cp.publisher.feeds[0]
    listener = xds.Rendered(xds.LISTENER, "inbound:127.0.0.1:80", b"x")
    feed.publish(xds.Snapshot({xds.LISTENER: xds.ResourceSet({listener.name: listener})}))
    feed.authors[xds.LISTENER, listener.name] = (
        res.ResourceRef("Dataplane", "default", "web-1", kri="kri_dp_default____web-1_"),
        res.ResourceRef("MeshTrafficPermission", "default", "p", 0, "kri_mtp_default____p_"),
        res.ResourceRef("TrafficPermission", "default", "old"),
    )
    message = "Error adding/updating listener(s) inbound:127.0.0.1:80: unknown filter"
    session.rejected(xds.LISTENER, message)
    found = (await cp.insight("web-1")).subscriptions[0].status.lds.last_error
    assert found == kind.LastError(message, "inbound:127.0.0.1:80", "kri_mtp_default____p_")


async def test_a_dataplane_that_is_made_anew_gets_the_insight_of_its_connected_proxy(cp):
    changes = cp.store.watch(0)

    async def until(op: protocol.Op) -> None:
        async with asyncio.timeout(10):
            async for change in changes:
                if change.resource.kind is kind.KIND and change.op is op:
                    return

    running = asyncio.create_task(cp.insights.run())
    await connected(cp)
    await until(protocol.Op.CREATED)
    await cp.store.delete(res.Key("Dataplane", "default", "web-1"))
    await until(protocol.Op.DELETED)
    await cp.create_dataplane("web-1")
    await until(protocol.Op.CREATED)
    assert (await cp.insight("web-1")).is_online
    running.cancel()


async def test_two_subscriptions_are_kept(cp):
    for seconds in range(3):
        cp.clock.seconds = seconds
        (await connected(cp)).close()
        await cp.insights.flush()
    times = [each.connect_time.second for each in (await cp.store.get(insight_key())).spec.subscriptions]
    assert times == [1, 2]


def insight_key():
    return insight_kinds.insight_key(res.Key("Dataplane", "default", "web-1"))


async def test_an_insight_goes_with_its_dataplane_and_does_not_come_back(cp):
    await cp.create_dataplane("web-2")
    gone = await connected(cp)
    other = await cp.proxies.connect(nodes.Node("default.web-2"), "")
    await cp.insights.flush()
    await cp.store.delete(gone.key)
    gone.sent(xds.CLUSTER)
    other.sent(xds.CLUSTER)
    await cp.insights.flush()
    [left] = await cp.store.list(kind.KIND)
    assert left.meta.name == "web-2"
    assert left.spec.subscriptions[0].status.cds.responses_sent == 1


async def test_one_batch_for_all_proxies(cp):
    sessions = []
    for number in range(5):
        await cp.create_dataplane(f"p-{number}")
        sessions.append(await cp.proxies.connect(nodes.Node(f"default.p-{number}"), ""))
    await cp.insights.flush()
    batches = []
    apply = cp.store.apply

    async def counting(changes):
        batches.append(len(changes))
        await apply(changes)

    cp.store.apply = counting
    for session in sessions:
        session.sent(xds.CLUSTER)
        session.acknowledged(xds.CLUSTER)
    await cp.insights.flush()
    await cp.insights.flush()
    assert batches == [5], "and nothing where nothing changed"


async def test_the_loop_writes_connects_at_once_and_counts_later(cp):
    watch = cp.store.watch()
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(cp.insights.run())
        session = await connected(cp)
        assert (await anext(watch)).resource.spec.is_online
        session.sent(xds.CLUSTER)
        counted = (await anext(watch)).resource.spec.subscriptions[0]
        assert counted.status.cds.responses_sent == 1
        session.close()
        assert not (await anext(watch)).resource.spec.is_online
        loop.cancel()


async def test_what_the_store_refuses_is_tried_again(cp):
    watch = cp.store.watch()
    apply, failures = cp.store.apply, [OSError("disk full"), OSError("disk full")]

    async def failing(changes):
        if failures:
            raise failures.pop()
        await apply(changes)

    cp.store.apply = failing
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(cp.insights.run())
        (await connected(cp)).close()
        written = (await anext(watch)).resource.spec
        assert written.subscriptions[0].disconnect_time is not None
        loop.cancel()


async def test_subscriptions_of_a_killed_control_plane_are_closed(cp):
    await connected(cp)
    await cp.insights.flush()
    next_run = cp.restarted()
    await next_run.insights.close_abandoned(is_alive=lambda instance: instance == "cp-1")
    assert (await next_run.insight("web-1")).is_online
    cp.clock.seconds = 3
    await next_run.insights.close_abandoned()
    [subscription] = (await next_run.insight("web-1")).subscriptions
    assert subscription.disconnect_time == cp.clock.wall()


async def test_a_proxy_that_moved_to_another_control_plane_stays_online_there(cp):
    """The stream that ended here is older, however late its end is written."""
    other = kit.ControlPlane(store=cp.store, clock=cp.clock, name="cp-2")
    here = await connected(cp)
    await cp.insights.flush()
    cp.clock.seconds = 5
    there = await connected(other)
    there.sent(xds.CLUSTER)
    await other.insights.flush()
    here.close()
    await cp.insights.flush()
    insight = await cp.insight("web-1")
    assert [each.control_plane_instance_id for each in insight.subscriptions] == ["cp-1", "cp-2"]
    assert insight.subscriptions[0].disconnect_time == cp.clock.wall()
    assert insight.is_online
    assert insight.subscriptions[1].status.total.responses_sent == 1
    cp.clock.seconds = 9
    there.close()
    await other.insights.flush()
    assert [each.disconnect_time is None for each in (await cp.insight("web-1")).subscriptions] == [False, False]
