"""Results of probes in a Dataplane's inbounds."""

import pytest

from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.services import proxy_versions, service_health
from tests.kit import control_plane as kit


def spec_of(*inbounds: dict) -> dataplane.Dataplane:
    document = {
        "type": "Dataplane",
        "mesh": "m",
        "name": "d",
        "networking": {"address": "127.0.0.1", "inbound": [{"tags": {"kuma.io/service": "x"}, **i} for i in inbounds]},
    }
    return codec.decode(dataplane.KIND, document).spec


PROBED = {"port": 1, "serviceProbe": {"tcp": {}}}


def test_only_probed_inbounds_change():
    spec = spec_of(PROBED, {"port": 2}, {**PROBED, "port": 3, "state": "Ignored"})
    found = service_health.with_health(spec, {1: False, 2: False, 3: True})
    assert [i.state.value for i in found.networking.inbound] == ["NotReady", "Ready", "Ignored"]
    assert found.networking.inbound[0].health == dataplane.Health(ready=False)
    back = service_health.with_health(found, {1: True})
    assert back.networking.inbound[0].is_ready


def test_without_a_change_it_is_the_same_object():
    spec = spec_of(PROBED)
    assert service_health.with_health(spec, {1: True}) is spec
    assert service_health.with_health(spec, {}) is spec


async def test_reports_are_stored_once():
    cp = await kit.ControlPlane().prepare()
    stored = await cp.create_dataplane("web-1", serviceProbe={"tcp": {}})
    assert await service_health.report_health(cp.store, stored.key, {15100: True})
    assert (await cp.store.get(stored.key)).spec.networking.inbound[0].is_ready
    assert not await service_health.report_health(cp.store, stored.key, {15100: True})
    assert not await service_health.report_health(cp.store, res.Key("Dataplane", "default", "gone"), {15100: True})


@pytest.mark.parametrize(
    ("agent", "compatible"),
    [
        ("2.14.3", True),
        ("2.12.0", True),
        ("2.11.9", False),
        ("3.14.0", False),
        ("dev-1", True),
        ("", True),
        ("\u00b2.14.0", True),
        ("9" * 5000 + ".14.0", True),
    ],
)
def test_versions_that_work_together(agent, compatible):
    assert proxy_versions.is_compatible(agent, "2.14.3") is compatible
