"""The life of connected proxies: joining, leaving, coming back, and what a killed control plane forgot."""

import asyncio
from datetime import timedelta

import pytest
import structlog

from kuma.base import errors
from kuma.resources import resource as res
from kuma.services.proxies import nodes
from kuma.services.trust import signing_keys, tokens
from kuma.store import memory
from tests.kit import control_plane as kit

KEY = res.Key("Dataplane", "default", "web-1")


@pytest.fixture
async def cp() -> kit.ControlPlane:
    return await kit.ControlPlane().prepare()


@pytest.mark.parametrize(
    ("node_id", "text"),
    [
        ("", "request must have a valid Proxy ID: Envoy ID must not be nil"),
        ("web", "request must have a valid Proxy ID: the name should be provided after the dot"),
        ("default.", "request must have a valid Proxy ID: the name should be provided after the dot"),
        (".web", "request must have a valid Proxy ID: the mesh should be provided before the dot"),
    ],
)
async def test_a_node_must_say_who_it_is(cp, node_id, text):
    with pytest.raises(errors.BadRequest, match=text):
        await cp.proxies.connect(nodes.Node(node_id), "")


async def test_an_unknown_proxy_is_told_what_to_do(cp):
    with pytest.raises(errors.NotFound) as refusal:
        await cp.proxies.connect(nodes.Node("default.web-1"), "")
    assert str(refusal.value) == (
        'resource "default.web-1" not found; create a Dataplane in Kuma CP first or pass it as an argument to kuma-dp'
    )


async def test_a_proxy_registers_what_it_brings_as_rest_would(cp):
    await cp.proxies.connect(kit.bringing("web-1"), "")
    stored = await cp.store.get(KEY)
    assert stored.spec.networking.inbound[0].tags == {"kuma.io/service": "web", "kuma.io/zone": "default"}
    assert stored.meta.labels["kuma.io/origin"] == "zone"


async def test_what_is_brought_must_be_the_nodes_own(cp):
    node = kit.bringing("web-1")
    with pytest.raises(errors.BadRequest, match="is not the one of node"):
        await cp.proxies.connect(nodes.Node("default.other", metadata=node.metadata), "")


async def test_what_is_brought_must_be_valid(cp):
    with pytest.raises(errors.InvalidResource) as refusal:
        await cp.proxies.connect(kit.bringing("web-1", port=70000), "")
    assert [v.field for v in refusal.value.violations] == ["networking.inbound[0].port"]
    assert not cp.publisher.feeds


async def test_a_registered_proxy_leaves_after_the_delay(cp):
    session = await cp.proxies.connect(kit.bringing("web-1"), "")
    session.close()
    assert not cp.publisher.feeds[0].is_attached
    assert await cp.proxies.sweep() == 10.0
    cp.clock.seconds = 9.9
    assert await cp.proxies.sweep() == pytest.approx(0.1)
    assert await cp.has_dataplane("web-1")
    cp.clock.seconds = 10.0
    assert await cp.proxies.sweep() is None
    assert not await cp.has_dataplane("web-1")


async def test_a_proxy_that_breaks_off_while_it_registers_leaves_nothing_behind(cp, monkeypatch):
    stored, create = asyncio.Event(), cp.store.create

    async def create_and_wait(*arguments):
        await create(*arguments)
        stored.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(cp.store, "create", create_and_wait)
    connecting = asyncio.create_task(cp.proxies.connect(kit.bringing("web-1"), ""))
    await stored.wait()
    connecting.cancel()
    await asyncio.wait([connecting])
    assert await cp.has_dataplane("web-1")
    cp.clock.seconds = 10
    await cp.proxies.sweep()
    assert not await cp.has_dataplane("web-1")


async def test_a_proxy_that_comes_back_in_time_stays(cp):
    (await cp.proxies.connect(kit.bringing("web-1"), "")).close()
    cp.clock.seconds = 5
    await cp.proxies.connect(kit.bringing("web-1"), "")
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await cp.has_dataplane("web-1")


async def test_the_end_of_an_old_stream_does_not_harm_the_new_one(cp):
    old = await cp.proxies.connect(kit.bringing("web-1"), "")
    new = await cp.proxies.connect(kit.bringing("web-1"), "")
    old.close()
    assert await cp.proxies.sweep() is None
    assert (await cp.insight("web-1")).is_online
    new.close()
    assert await cp.proxies.sweep() == 10.0
    assert not (await cp.insight("web-1")).is_online


async def test_a_dataplane_that_others_created_stays(cp):
    await cp.create_dataplane("web-1")
    session = await cp.proxies.connect(nodes.Node("default.web-1"), "")
    session.close()
    assert await cp.proxies.sweep() is None
    session = await cp.proxies.connect(kit.bringing("web-1"), "")
    session.close()
    await cp.proxies.goodbye(KEY, "")
    assert await cp.proxies.sweep() is None
    assert await cp.has_dataplane("web-1")


async def test_goodbye_removes_at_once(cp):
    session = await cp.proxies.connect(kit.bringing("web-1"), "")
    await cp.proxies.goodbye(KEY, "")
    assert not await cp.has_dataplane("web-1")
    session.close()
    await cp.insights.flush()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    with pytest.raises(errors.NotFound):
        await cp.proxies.goodbye(KEY, "")


def text(node: nodes.Node) -> str:
    return str(node.metadata[nodes.RESOURCE])


FIRST, SECOND = kit.bringing("web-1", servicePort=80), kit.bringing("web-1", servicePort=81)


async def service_port(cp) -> int | None:
    if not await cp.has_dataplane("web-1"):
        return None
    return (await cp.store.get(KEY)).spec.networking.inbound[0].service_port


@pytest.mark.parametrize("tells", [True, False], ids=["with definition", "as older agents"])
async def test_goodbye_of_a_predecessor_leaves_its_successor(cp, tells):
    old = await cp.proxies.connect(FIRST, "")
    new = await cp.proxies.connect(SECOND, "")
    await cp.proxies.goodbye(KEY, "", text(FIRST) if tells else "")
    assert await service_port(cp) == 81
    old.close()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await service_port(cp) == 81
    await cp.proxies.goodbye(KEY, "", text(SECOND) if tells else "")
    assert not await cp.has_dataplane("web-1")
    new.close()
    assert await cp.proxies.sweep() is None


async def test_goodbye_of_a_second_agent_puts_the_definition_of_the_first_back(cp):
    first = await cp.proxies.connect(FIRST, "")
    second = await cp.proxies.connect(SECOND, "")
    await cp.proxies.goodbye(KEY, "", text(SECOND))
    assert await service_port(cp) == 80
    second.close()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await service_port(cp) == 80
    await cp.proxies.goodbye(KEY, "", text(FIRST))
    assert not await cp.has_dataplane("web-1")
    first.close()


async def test_the_end_of_a_second_agent_puts_the_definition_of_the_first_back(cp):
    first = await cp.proxies.connect(FIRST, "")
    second = await cp.proxies.connect(SECOND, "")
    second.close()
    assert await cp.proxies.sweep() is None, "at once, not after the delay"
    assert await service_port(cp) == 80
    first.close()
    assert await cp.proxies.sweep() == 10.0
    cp.clock.seconds = 10
    await cp.proxies.sweep()
    assert not await cp.has_dataplane("web-1")


async def test_the_end_of_a_first_agent_leaves_the_second(cp):
    first = await cp.proxies.connect(FIRST, "")
    second = await cp.proxies.connect(SECOND, "")
    first.close()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await service_port(cp) == 81
    second.close()
    assert await cp.proxies.sweep() == 10.0


@pytest.mark.parametrize("leaves_first", [0, 1])
async def test_two_agents_with_the_same_definition(cp, leaves_first):
    sessions = [await cp.proxies.connect(FIRST, ""), await cp.proxies.connect(FIRST, "")]
    await cp.proxies.goodbye(KEY, "", text(FIRST))
    sessions.pop(leaves_first).close()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await cp.has_dataplane("web-1")
    await cp.proxies.goodbye(KEY, "", text(FIRST))
    assert not await cp.has_dataplane("web-1")


@pytest.mark.parametrize("killed_first", [0, 1])
async def test_two_agents_with_the_same_definition_are_killed(cp, killed_first):
    sessions = [await cp.proxies.connect(FIRST, ""), await cp.proxies.connect(FIRST, "")]
    sessions.pop(killed_first).close()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await cp.has_dataplane("web-1")
    sessions.pop().close()
    cp.clock.seconds = 70
    await cp.proxies.sweep()
    assert not await cp.has_dataplane("web-1")


async def test_a_successor_that_is_killed_while_its_predecessor_drains(cp):
    old = await cp.proxies.connect(FIRST, "")
    new = await cp.proxies.connect(SECOND, "")
    await cp.proxies.goodbye(KEY, "", text(FIRST))
    new.close()
    cp.clock.seconds = 10
    await cp.proxies.sweep()
    assert not await cp.has_dataplane("web-1")
    old.close()


async def test_a_late_goodbye_does_not_remove_another_definition(cp):
    old = await cp.proxies.connect(FIRST, "")
    await cp.proxies.connect(SECOND, "")
    old.close()
    await cp.proxies.goodbye(KEY, "", text(FIRST))
    assert await service_port(cp) == 81


async def test_a_refusal_is_logged_once_for_each_proxy_and_reason(cp):
    async def refused(name: str) -> None:
        with pytest.raises(errors.NotFound):
            await cp.proxies.connect(nodes.Node(f"default.{name}"), "secret")

    with structlog.testing.capture_logs() as lines:
        await refused("web-1")
        await refused("web-1")
        await refused("web-2")
        cp.clock.seconds = 600
        await refused("web-1")
    assert [(each["log_level"], each["proxy"]) for each in lines] == [
        ("info", "default.web-1"),
        ("info", "default.web-2"),
        ("info", "default.web-1"),
    ]
    assert "not found" in lines[0]["reason"]
    assert "secret" not in str(lines)


async def test_after_a_kill_those_who_do_not_come_back_are_removed(cp):
    for name in ("web-1", "web-2"):
        await cp.proxies.connect(kit.bringing(name), "")
    await cp.create_dataplane("other")
    await cp.proxies.connect(nodes.Node("default.other"), "")
    await cp.insights.flush()
    next_run = cp.restarted()
    await next_run.proxies.recover(grace=60)
    assert not (await next_run.insight("web-1")).is_online
    await next_run.proxies.connect(kit.bringing("web-2"), "")
    cp.clock.seconds = 60
    assert await next_run.proxies.sweep() is None
    assert [await next_run.has_dataplane(name) for name in ("web-1", "web-2", "other")] == [False, True, True]


async def test_a_proxy_that_went_to_another_control_plane_stays(cp):
    (await cp.proxies.connect(kit.bringing("web-1"), "")).close()
    await cp.insights.flush()
    other = cp.restarted()
    await other.proxies.connect(kit.bringing("web-1"), "")
    await other.insights.flush()
    cp.clock.seconds = 10
    assert await cp.proxies.sweep() is None
    assert await cp.has_dataplane("web-1")


async def test_known_health_survives_a_new_registration(cp):
    probe = {"serviceProbe": {"tcp": {}}}
    session = await cp.proxies.connect(kit.bringing("web-1", **probe), "")
    assert not (await cp.store.get(KEY)).spec.networking.inbound[0].is_ready, "not ready before the first probe"
    session.close()
    await cp.proxies.connect(kit.bringing("web-1", **probe), "")
    assert not (await cp.store.get(KEY)).spec.networking.inbound[0].is_ready


async def test_a_control_plane_that_stops_removes_nobody(cp):
    (await cp.proxies.connect(kit.bringing("web-1"), "")).close()
    session = await cp.proxies.connect(kit.bringing("web-2"), "")
    cp.proxies.retire()
    session.close()
    cp.clock.seconds = 60
    assert await cp.proxies.sweep() is None
    assert await cp.has_dataplane("web-1")
    assert await cp.has_dataplane("web-2")


async def test_the_loop_removes_and_waits(cp):
    async with asyncio.TaskGroup() as tasks:
        loop = tasks.create_task(cp.proxies.run())
        session = await cp.proxies.connect(kit.bringing("web-1"), "")
        watch = cp.store.watch()
        cp.clock.seconds = -10  # the stream ends ten seconds before the loop looks
        session.close()
        cp.clock.seconds = 0
        async for change in watch:
            if change.resource.key == KEY:
                assert change.op.value == "deleted"
                break
        loop.cancel()


# --- credentials ------------------------------------------------------------------------------------------------------


class Guarded:
    """A control plane that wants tokens, and one that issues them."""

    def __init__(self) -> None:
        self.clock = kit.Clock()
        self.store = memory.MemoryStore()
        self.keys = signing_keys.SigningKeys(self.store)
        self.issuer = tokens.TokenIssuer(self.keys, self.clock.wall)
        validator = tokens.TokenValidator(self.keys, self.clock.wall)
        self.cp = kit.ControlPlane(self.store, self.clock, validator=validator)

    async def prepare(self) -> "Guarded":
        await self.cp.prepare()
        await self.keys.ensure(signing_keys.dataplane("default"))
        return self


@pytest.fixture
async def guarded() -> Guarded:
    return await Guarded().prepare()


async def test_a_token_must_fit_what_is_brought_and_what_is_stored(guarded):
    web = await guarded.issuer.dataplane("default", "web-1", {"kuma.io/service": ["web"]})
    with pytest.raises(errors.Unauthenticated):
        await guarded.cp.proxies.connect(kit.bringing("web-1"), "")
    with pytest.raises(errors.Unauthenticated):
        await guarded.cp.proxies.connect(kit.bringing("other"), web)
    await guarded.cp.proxies.connect(kit.bringing("web-1"), web)
    admin = await guarded.issuer.dataplane("default", "web-1", {"kuma.io/service": ["admin"]})
    taking_over = kit.bringing("web-1", tags={"kuma.io/service": "admin"})
    with pytest.raises(errors.Unauthenticated, match='does not allow the value "web"'):
        await guarded.cp.proxies.connect(taking_over, admin)


async def test_expired_and_foreign_tokens_are_refused(guarded):
    await guarded.cp.create_dataplane("web-1")
    short = await guarded.issuer.dataplane("default", "web-1", valid_for=1_000_000_000)
    foreign = await (await Guarded().prepare()).issuer.dataplane("default", "web-1")
    guarded.clock.seconds = timedelta(hours=1).total_seconds()
    for token in (short, foreign, "garbage"):
        with pytest.raises(errors.Unauthenticated):
            await guarded.cp.proxies.connect(nodes.Node("default.web-1"), token)
        with pytest.raises(errors.Unauthenticated):
            await guarded.cp.proxies.dataplane_for(nodes.Node("default.web-1"), token)


async def test_goodbye_needs_the_proxys_token(guarded):
    web = await guarded.issuer.dataplane("default", "web-1")
    other = await guarded.issuer.dataplane("default", "web-2")
    await guarded.cp.proxies.connect(kit.bringing("web-1"), web)
    with pytest.raises(errors.Unauthenticated):
        await guarded.cp.proxies.goodbye(KEY, other)
    assert await guarded.cp.has_dataplane("web-1")
    await guarded.cp.proxies.goodbye(KEY, web)
    assert not await guarded.cp.has_dataplane("web-1")
