"""Results of probes in a Dataplane's inbounds, and what writing a Dataplane once more does to them."""

import pytest

from kuma.base import errors
from kuma.compiler import health
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane
from kuma.services.insights import proxy_versions
from kuma.services.proxies import service_health
from kuma.services.rules import dataplane_rules
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


PLAIN = {"port": 1}
OUT = {"state": "NotReady", "health": {"ready": False}}
BACK = {"health": {"ready": True}}
IGNORED = {"state": "Ignored"}
LEGACY = "kuma:envoy:admin"
UNIFIED = "system_envoy_admin"
APP = "localhost:1"


@pytest.mark.parametrize(
    ("before", "reported", "after"),
    [
        pytest.param({**PROBED, **OUT}, {APP: True, LEGACY: True}, BACK, id="application and Envoy are well"),
        pytest.param({**PROBED, **OUT}, {APP: True}, BACK, id="nothing is known of Envoy"),
        pytest.param({**PROBED, **OUT}, {LEGACY: True}, OUT, id="nothing is known of the application"),
        pytest.param({**PROBED, **BACK}, {APP: False, LEGACY: True}, OUT, id="the application is not well"),
        pytest.param({**PROBED, **BACK}, {APP: True, LEGACY: False}, OUT, id="Envoy drains"),
        pytest.param({**PROBED, **BACK}, {APP: True, UNIFIED: False}, OUT, id="Envoy drains, unified name"),
        pytest.param({**PROBED, **BACK}, {UNIFIED: False}, OUT, id="Envoy drains, and of the application is no word"),
        pytest.param({**PROBED, "servicePort": 2, **OUT}, {APP: True}, OUT, id="that was another application"),
        pytest.param(
            {**PROBED, "servicePort": 2, **OUT}, {"localhost:2": True}, BACK, id="the port of the application"
        ),
        pytest.param({**PROBED, **IGNORED}, {APP: True, LEGACY: True}, IGNORED, id="ignored stays ignored"),
        pytest.param({"port": 1, "serviceProbe": {"interval": "5s"}, **OUT}, {APP: True}, BACK, id="any probe is TCP"),
        pytest.param(PLAIN, {APP: False, LEGACY: True}, {}, id="without a probe its application counts for nothing"),
        pytest.param(PLAIN, {LEGACY: False}, OUT, id="without a probe it leaves with its Envoy"),
        pytest.param({**PLAIN, **OUT}, {LEGACY: True}, BACK, id="and returns with it"),
        pytest.param({**PLAIN, **OUT}, {APP: True}, OUT, id="but not without a word of Envoy"),
        pytest.param({**PLAIN, "state": "NotReady"}, {LEGACY: True}, {"state": "NotReady"}, id="a user took it out"),
        pytest.param({**PLAIN, **IGNORED}, {LEGACY: False}, IGNORED, id="ignored without a probe"),
        pytest.param({**PROBED, **OUT}, {}, OUT, id="an empty report"),
    ],
)
def test_what_a_report_makes_of_an_inbound(before, reported, after):
    untouched = {key: value for key, value in before.items() if key not in ("state", "health")}
    found = health.with_reported_health(spec_of(before), health.Report(reported))
    assert found == spec_of({**untouched, **after})


@pytest.mark.parametrize(("inbound", "is_ready"), [(PLAIN, True), ({**PROBED, **BACK}, False)])
def test_an_envoy_that_starts_takes_out_what_waits_for_a_probe(inbound, is_ready):
    found = health.with_reported_health(spec_of(inbound), health.Report({APP: True, LEGACY: False}, is_first=True))
    assert found.networking.inbound[0].is_ready is is_ready


def test_without_a_change_it_is_the_same_object():
    spec = spec_of(PROBED, {"port": 2})
    assert health.with_reported_health(spec, health.Report({APP: True, LEGACY: True})) is spec
    assert health.with_reported_health(spec, health.Report({})) is spec


def test_inbounds_on_one_port_of_two_addresses_have_a_state_each():
    spec = spec_of(
        {**PROBED, **OUT, "address": "127.0.0.1", "servicePort": 81},
        {**PROBED, **OUT, "address": "127.0.0.2", "servicePort": 82},
    )
    found = health.with_reported_health(spec, health.Report({"localhost:81": True, "localhost:82": False}))
    assert [each.is_ready for each in found.networking.inbound] == [True, False]


@pytest.mark.parametrize(
    ("known", "written", "stored"),
    [
        pytest.param(None, PROBED, OUT, id="the first time it waits for a probe"),
        pytest.param(None, {**PROBED, **BACK}, OUT, id="whatever its author thinks"),
        pytest.param(None, {**PROBED, **IGNORED}, IGNORED, id="ignored at once"),
        pytest.param(None, PLAIN, {}, id="no probe to wait for"),
        pytest.param({**PROBED, **BACK}, PROBED, BACK, id="written once more it goes on"),
        pytest.param({**PROBED, **OUT}, PROBED, OUT, id="and does not return by that"),
        pytest.param({**PROBED, **OUT}, {**PROBED, **BACK}, BACK, id="unless its author says so"),
        pytest.param({**PROBED, **BACK}, {**PROBED, "state": "NotReady"}, {"state": "NotReady"}, id="or the contrary"),
        pytest.param(PLAIN, PROBED, {}, id="a probe is new, the inbound is not"),
        pytest.param({"port": 2}, PROBED, OUT, id="the inbound is new"),
        pytest.param({**PROBED, **IGNORED}, PROBED, OUT, id="no longer ignored"),
        pytest.param({**PROBED, **OUT}, PLAIN, {}, id="no longer probed"),
    ],
)
def test_a_dataplane_is_written(known, written, stored):
    untouched = {key: value for key, value in written.items() if key not in ("state", "health")}
    found = dataplane_rules.with_probed_health(spec_of(written), spec_of(known) if known else None)
    assert found == spec_of({**untouched, **stored})


async def test_reports_are_stored_once():
    cp = await kit.ControlPlane().prepare()
    stored = await cp.create_dataplane("web-1", serviceProbe={"tcp": {}})
    report = health.Report({"localhost:80": True})
    assert await service_health.report_health(cp.store, stored.key, report)
    found = await cp.store.get(stored.key)
    assert found.spec.networking.inbound[0].is_ready
    assert found.meta.labels == stored.meta.labels
    assert not await service_health.report_health(cp.store, stored.key, report)
    assert not await service_health.report_health(cp.store, res.Key("Dataplane", "default", "gone"), report)


async def test_a_store_that_takes_no_writes_waits_for_the_next_report(monkeypatch):
    cp = await kit.ControlPlane().prepare()
    stored = await cp.create_dataplane("web-1", serviceProbe={"tcp": {}})

    async def update(_: object) -> None:
        raise errors.Unavailable("the database is gone")

    with monkeypatch.context() as broken:
        broken.setattr(cp.store, "update", update)
        assert not await service_health.report_health(cp.store, stored.key, health.Report({"localhost:80": True}))
    assert await service_health.report_health(cp.store, stored.key, health.Report({"localhost:80": True}))


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
