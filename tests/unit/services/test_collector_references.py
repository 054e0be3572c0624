"""MeshOpenTelemetryBackends that policies point at, and those that nobody does."""

import asyncio
import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from kuma.policies import discovery as policies
from kuma.resources import builtin, codec, conditions
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.services.policies import collector_references
from kuma.store import memory
from tests.kit import telemetry

CATALOG = catalogs.Catalog((*builtin.CORE_KINDS, *policies.kinds()))
TEAM = telemetry.reference(team="web")
INLINE = {"endpoint": "otel:4317"}


def a_policy(kind: str, spec: dict[str, Any], mesh: str = "m") -> res.Resource[Any]:
    found = CATALOG.find(kind)
    assert found is not None
    return codec.decode(found, {"type": kind, "mesh": mesh, "name": "p", "spec": spec})


def conf(*collectors: dict[str, Any]) -> dict[str, Any]:
    return {"backends": [{"type": "OpenTelemetry", "openTelemetry": each} for each in collectors]}


def a_backend(name: str = "main", year: int = 2026, **labels: str) -> res.Resource[Any]:
    made = telemetry.a_backend(name, labels)
    return dataclasses.replace(
        made, meta=dataclasses.replace(made.meta, mesh="m", creation_time=datetime(year, 1, 1, tzinfo=UTC))
    )


def messages(*resources: res.Resource[Any]) -> dict[str, tuple[str, str, str]]:
    """Status, reason and message of the only condition, by backend."""
    found = {}
    for each in collector_references.desired(resources):
        (condition,) = each.status.conditions
        assert condition.type == "ReferencedByPolicies"
        found[each.meta.name] = (condition.status, condition.reason, condition.message)
    return found


NOBODY = ("False", "NotReferenced", "Not referenced by any observability policy")


def by(count: int) -> tuple[str, str, str]:
    return "True", "Referenced", f"Referenced by {count} policy backend(s)"


ALL = {"targetRef": {"kind": "Mesh"}}


@pytest.mark.parametrize(
    ("kind", "spec", "expected"),
    [
        ("MeshTrace", {"default": conf(TEAM)}, by(1)),
        ("MeshTrace", {"default": {}}, NOBODY),
        ("MeshMetric", {"default": conf(TEAM, INLINE, TEAM)}, by(2)),
        ("MeshMetric", {"default": conf(INLINE)}, NOBODY),
        ("MeshMetric", {"default": conf(telemetry.reference(team="other"))}, NOBODY),
        ("MeshMetric", {"default": {"backends": [{"type": "Prometheus", "prometheus": {}}]}}, NOBODY),
        ("MeshAccessLog", {"rules": [{"default": conf(TEAM)}, {"default": conf(TEAM)}]}, by(2)),
        ("MeshAccessLog", {"to": [{**ALL, "default": conf(TEAM)}], "from": [{**ALL, "default": conf(TEAM)}]}, by(2)),
    ],
)
def test_references(kind: str, spec: dict[str, Any], expected: tuple[str, str, str]) -> None:
    assert messages(a_backend(team="web"), a_policy(kind, spec)) == {"main": expected}


def test_of_several_that_fit_the_oldest_is_meant() -> None:
    policy = a_policy("MeshTrace", {"default": conf(TEAM)})
    found = messages(a_backend("new", 2026, team="web"), a_backend("old", 2025, team="web"), policy)
    assert found == {"new": NOBODY, "old": by(1)}


def test_what_is_written_already_is_left_alone_and_conditions_of_others_stay() -> None:
    other = conditions.Condition("Other", "True", "Because", "of this")
    backend = dataclasses.replace(a_backend(), status=conditions.Status((other,)))
    (first,) = collector_references.desired([backend])
    assert [each.type for each in first.status.conditions] == ["Other", "ReferencedByPolicies"]
    assert collector_references.desired([first]) == []


async def test_the_loop_follows_policies_mesh_by_mesh() -> None:
    store = memory.MemoryStore()
    for mesh in ("m", "n"):
        made = telemetry.a_backend("main", {"team": "web"})
        await store.create(dataclasses.replace(made, meta=dataclasses.replace(made.meta, mesh=mesh)))

    async def until(mesh: str, reason: str) -> None:
        async for _ in store.watch(0):
            found = await store.get(res.Key("MeshOpenTelemetryBackend", mesh, "main"))
            if found.status is not None and [each.reason for each in found.status.conditions] == [reason]:
                return

    running = asyncio.ensure_future(collector_references.ReferenceLoop(store, CATALOG, 5).run())
    async with asyncio.timeout(20):
        await until("m", "NotReferenced")
        created = await store.create(a_policy("MeshTrace", {"default": conf(TEAM)}))
        await until("m", "Referenced")
        await until("n", "NotReferenced")
        await store.delete(created.key)
        await until("m", "NotReferenced")
    running.cancel()
    await asyncio.wait([running])
