"""Which collector is meant, how it is reached, and what the agent is told of it."""

import dataclasses
import datetime
import json
from typing import Any

import pytest

from kuma.plan import environment, nodes, proxy
from kuma.policy_engine import collectors
from tests.kit import telemetry, worlds

NEW = datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("endpoint", "name", "address", "port"),
    [
        ("otel:4000", "otel-4000", "otel", 4000),
        ("otel", "otel", "otel", 4317),
        ("[fd00::1]:4000", "[fd00--1]-4000", "fd00::1", 4000),
        ("otel:port", "otel-port", "otel:port", 4317),
        ("otel:99999", "otel-99999", "otel", 4317),
        ("otel:", "otel-", "otel", 4317),
    ],
)
def test_an_address_in_a_policy(endpoint: str, name: str, address: str, port: int) -> None:
    found = collectors.resolve(collectors.Reference(endpoint=endpoint), ())
    assert found is not None
    assert (found.name, found.address, found.port, found.author) == (name, address, port, None)


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        ((("team", "a"),), "old"),
        ((("stage", "test"), ("team", "a")), "new"),
        ((("team", "b"),), None),
        ((), None),
    ],
)
def test_the_oldest_that_carries_all_labels_is_meant(labels: collectors.Labels, name: str | None) -> None:
    new = telemetry.a_backend("new", {"team": "a", "stage": "test"})
    new = dataclasses.replace(new, meta=dataclasses.replace(new.meta, creation_time=NEW))
    found = collectors.resolve(
        collectors.Reference(labels), collectors.known([new, telemetry.a_backend("old", {"team": "a"})])
    )
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("spec", "reach", "way"),
    [
        ({"endpoint": {"address": "c", "port": 1}}, ("", False), ("c", 1, "", True)),
        ({}, ("10.0.0.1", False), ("10.0.0.1", 4317, "", True)),
        ({"protocol": "http"}, ("", False), ("127.0.0.1", 4317, "", False)),
        ({"protocol": "http"}, ("", True), ("", 0, "/run/kuma-otel-c.sock", True)),
    ],
)
def test_ways(spec: dict[str, Any], reach: tuple[str, bool], way: tuple[Any, ...]) -> None:
    (collector,) = collectors.known([telemetry.a_backend("c", **spec)])
    found = collectors.Reach("/run", *reach).way(collector)
    assert (found.host, found.port, found.pipe, found.http2) == way


def inventory(**signals: Any) -> environment.Inventory:
    return environment.read(signals)


SHARED = {"shared": {"endpointPresent": True}}
OVERRIDES = {"logs": {"headersPresent": True, "overrideKinds": ["headers"]}}


@pytest.mark.parametrize(
    ("env", "found", "expected"),
    [
        ({}, {}, {}),
        ({}, SHARED, {"envInputPresent": True}),
        ({}, {"traces": {"endpointPresent": True}}, {}),
        ({"mode": "Disabled"}, SHARED, {"envInputPresent": True, "blockedReasons": ["EnvDisabledByPolicy"]}),
        ({"mode": "Required"}, {}, {"blockedReasons": ["RequiredEnvMissing"]}),
        (
            {"mode": "Required"},
            {**SHARED, "validationErrors": ["logs.mtls", "traces.endpoint", "shared.time-out"]},
            {
                "envInputPresent": True,
                "missingFields": ["client_certificate", "client_key", "time_out"],
                "blockedReasons": ["RequiredEnvMissing"],
            },
        ),
        ({}, OVERRIDES, {"envInputPresent": True, "overrideKinds": ["headers"]}),
        (
            {"allowSignalOverrides": False},
            OVERRIDES,
            {"envInputPresent": True, "overrideKinds": ["headers"], "blockedReasons": ["SignalOverridesDisallowed"]},
        ),
    ],
)
def test_what_the_agent_may_do_with_its_environment(
    env: dict[str, Any], found: dict[str, Any], expected: dict[str, Any]
) -> None:
    (collector,) = collectors.known([telemetry.a_backend("c", env=env)])
    told = _told(found, (collector, "logs"))
    assert told[0]["logs"] == {"enabled": True, **expected}


def _told(found: dict[str, Any], *signals: tuple[collectors.Collector, str]) -> list[dict[str, Any]]:
    metadata = {**telemetry.PIPE, "workdir": "/run", "otelEnvInventory": found}
    plan = nodes.ProxyPlan(proxy.facts_of(worlds.a_dataplane("d", "web"), metadata))
    for collector, signal in signals:
        collectors.tell_agent(plan, collector, signal)
    said: list[dict[str, Any]] = json.loads(plan.documents["otel"])["backends"]
    return said


def test_the_document_holds_each_collector_once() -> None:
    spec = {
        "endpoint": {"address": "c", "port": 443, "path": "/x"},
        "protocol": "http",
        "env": {"precedence": "ExplicitFirst"},
    }
    b, a = collectors.known([telemetry.a_backend("b", **spec)]) + collectors.known([telemetry.a_backend("a")])
    first, second = _told({}, (b, "logs"), (a, "logs"), (b, "traces"))
    assert first["endpoint"] == ":4317"
    assert second == {
        "name": "b",
        "socketPath": "/run/kuma-otel-b.sock",
        "endpoint": "c:443",
        "useHTTP": True,
        "useHTTPS": True,
        "path": "/x",
        "envPolicy": {"mode": "Optional", "precedence": "ExplicitFirst", "allowSignalOverrides": True},
        "traces": {"enabled": True},
        "logs": {"enabled": True},
    }
    assert list(second)[-2:] == ["traces", "logs"]


def test_an_environment_names_one_collector() -> None:
    found = collectors.known([telemetry.a_backend(each) for each in "ab"])
    told = _told(SHARED, *((each, "logs") for each in found))
    assert [each["logs"]["blockedReasons"] for each in told] == [["MultipleBackendsForSignal"]] * 2
    assert "blockedReasons" not in _told(SHARED, (found[0], "logs"), (found[1], "traces"))[0]["logs"]


def test_an_agent_that_hands_nothing_on_is_told_nothing() -> None:
    (collector,) = collectors.known([telemetry.a_backend("c")])
    plan = nodes.ProxyPlan(proxy.facts_of(worlds.a_dataplane("d", "web"), {}))
    collectors.tell_agent(plan, collector, "logs")
    assert plan.documents == {}


@pytest.mark.parametrize("odd", [None, "text", {"traces": "text"}, {"validationErrors": "text"}])
def test_an_inventory_that_cannot_be_read_is_empty(odd: Any) -> None:
    found = environment.read(odd)
    assert (found.present, found.overrides, found.problems) == (frozenset(), (), ())
