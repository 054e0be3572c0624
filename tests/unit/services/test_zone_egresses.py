"""Zone egresses that connect: who may, what is stored of them, and how they leave."""

from typing import Any

import msgspec
import pytest

from kuma.base import errors
from kuma.resources import resource as res
from kuma.services.proxies import nodes
from tests.kit import control_plane as kit

KEY = res.Key("ZoneEgress", "", "way-out")
DOCUMENT = {"type": "ZoneEgress", "name": "way-out", "networking": {"address": "10.0.0.8", "port": 10002}}
TYPE = {nodes.PROXY_TYPE: "egress"}


class Zone:
    """Knows one zone token, and no token of a Dataplane."""

    async def validate_zone(self, token: str, zone: str, proxy_type: str) -> None:
        if (token, zone, proxy_type) != ("right", "default", "egress"):
            raise errors.Unauthenticated("token is not right")

    async def validate_dataplane(self, token: str, dataplane: Any) -> None:
        raise errors.Unauthenticated("there are no Dataplanes here")


def bringing(document: dict[str, Any] = DOCUMENT, node_id: str = ".way-out") -> nodes.Node:
    return nodes.Node(node_id, metadata={**TYPE, nodes.RESOURCE: msgspec.json.encode(document).decode()})


@pytest.fixture
async def cp() -> kit.ControlPlane:
    return await kit.ControlPlane(validator=Zone()).prepare()


async def has_egress(cp: kit.ControlPlane) -> bool:
    try:
        await cp.store.get(KEY)
    except errors.NotFound:
        return False
    return True


async def test_it_is_registered_and_has_an_insight(cp: kit.ControlPlane) -> None:
    await cp.proxies.connect(bringing(), "right")
    await cp.insights.flush()

    stored = await cp.store.get(KEY)
    assert stored.spec.networking.port == 10002
    assert stored.meta.labels["kuma.io/proxy-type"] == "zoneegress"
    insight = (await cp.store.get(res.Key("ZoneEgressInsight", "", "way-out"))).spec
    assert insight.is_online
    assert insight.metadata[nodes.PROXY_TYPE] == "egress"
    assert cp.publisher.feeds[0].key == KEY


async def test_its_end_is_written(cp: kit.ControlPlane) -> None:
    await cp.resources.put(kit.zoneegress.KIND, "", "way-out", DOCUMENT, None)
    (await cp.proxies.connect(nodes.Node(".way-out", metadata=TYPE), "right")).close()
    await cp.insights.flush()

    assert not (await cp.store.get(res.Key("ZoneEgressInsight", "", "way-out"))).spec.is_online
    assert await cp.proxies.sweep() is None
    assert await has_egress(cp), "who did not register it must not remove it"


async def test_it_leaves_after_the_delay(cp: kit.ControlPlane) -> None:
    (await cp.proxies.connect(bringing(), "right")).close()
    cp.clock.seconds = 10
    await cp.proxies.sweep()
    assert not await has_egress(cp)


async def test_it_leaves_at_once_when_it_says_goodbye(cp: kit.ControlPlane) -> None:
    await cp.proxies.connect(bringing(), "right")
    with pytest.raises(errors.Unauthenticated):
        await cp.proxies.goodbye(KEY, "wrong")
    await cp.proxies.goodbye(KEY, "right")
    assert not await has_egress(cp)


async def test_what_a_killed_control_plane_left_behind_is_removed(cp: kit.ControlPlane) -> None:
    await cp.proxies.connect(bringing(), "right")
    await cp.insights.flush()
    after = cp.restarted()
    await after.proxies.recover(grace=60)
    after.clock.seconds = 60
    await after.proxies.sweep()
    assert not await has_egress(after)


@pytest.mark.parametrize(
    ("node", "refusal"),
    [
        (nodes.Node("default.way-out", metadata=TYPE), "a zone egress is in no mesh"),
        (nodes.Node(".way-out"), "the mesh should be provided before the dot"),
        (nodes.Node(".way-in", metadata={nodes.PROXY_TYPE: "ingress"}), 'type "ingress" are not served'),
        (bringing({**DOCUMENT, "name": "other"}), 'the ZoneEgress ".other" is not the one of node ".way-out"'),
    ],
)
async def test_its_node_must_be_its_own(cp: kit.ControlPlane, node: nodes.Node, refusal: str) -> None:
    with pytest.raises(errors.BadRequest, match=refusal):
        await cp.proxies.connect(node, "right")


async def test_an_unknown_one_is_told_what_to_do(cp: kit.ControlPlane) -> None:
    with pytest.raises(errors.NotFound, match="create a ZoneEgress in Kuma CP first"):
        await cp.proxies.connect(nodes.Node(".way-out", metadata=TYPE), "right")


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_it_needs_a_token_of_the_zone(cp: kit.ControlPlane, token: str) -> None:
    with pytest.raises(errors.Unauthenticated):
        await cp.proxies.connect(bringing(), token)
    assert not await has_egress(cp)


async def test_nobody_checks_the_health_of_its_applications(cp: kit.ControlPlane) -> None:
    with pytest.raises(errors.BadRequest, match="a ZoneEgress has no applications"):
        await cp.proxies.dataplane_for(bringing(), "right")
