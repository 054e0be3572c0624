"""Where the label `kuma.io/workload` becomes part of an identity, it has to be there, and in the token."""

import dataclasses
from datetime import UTC, datetime
from typing import Any

import pytest

from kuma.base import durations, errors
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.services.rules import workload_rules
from kuma.services.trust import signing_keys, tokens
from kuma.store import memory
from tests.kit import worlds

ALL: dict[str, str] = {}
PATHS = {"default": None, "workload": "/w/{{ .Workload }}", "other": '/{{ label "app" }}'}


async def rules(path: str | None = None, wanted: Any = ALL, **labels: str) -> workload_rules.WorkloadRules:
    store = memory.MemoryStore()
    spec: dict[str, Any] = {"selector": {"dataplane": {"matchLabels": wanted}}}
    if path is not None:
        spec["spiffeID"] = {"path": path}
    await store.create(worlds.resource({"type": "MeshIdentity", "name": "i", "labels": labels, "spec": spec}))
    return workload_rules.WorkloadRules(store, "east", "universal")


def proxy(**labels: str) -> res.Resource[Any]:
    return worlds.a_dataplane("web", "web", labels=labels)


@pytest.mark.parametrize(
    ("path", "wanted", "expected"),
    [("default", {}, True), ("workload", {}, True), ("other", {}, False), ("workload", {"app": "x"}, False)],
)
async def test_who_needs_the_label(path: str, wanted: dict[str, str], expected: bool) -> None:
    made = await rules(PATHS[path], wanted)
    assert await made.names(proxy()) is expected
    await made.require(proxy(**{"kuma.io/workload": "w"}))
    if not expected:
        await made.require(proxy())
        return
    with pytest.raises(errors.BadRequest) as refused:
        await made.require(proxy())
    assert str(refused.value) == (
        "missing required label 'kuma.io/workload' - dataplane is selected by MeshIdentity 'i' "
        f"with path template '{PATHS[path] or '/workload/{{ .Workload }}'}'"
    )


async def test_a_better_identity_that_is_not_ready_hides_none_that_is() -> None:
    store = memory.MemoryStore()
    ready = conditions.Status((conditions.Condition("Ready", "True", "Ready", ""),))
    common = {"type": "MeshIdentity", "mesh": "m"}
    provider = {"provider": {"type": "Bundled"}}
    every = {"selector": {"dataplane": {"matchLabels": {}}}, "spiffeID": {"path": PATHS["workload"]}, **provider}
    better = {"selector": {"dataplane": {"matchLabels": {"app": "x"}}}, "spiffeID": {"path": PATHS["other"]}}
    await store.create(dataclasses.replace(worlds.resource({**common, "name": "all", "spec": every}), status=ready))
    await store.create(worlds.resource({**common, "name": "better", "spec": better}))
    assert await workload_rules.WorkloadRules(store, "east", "universal").names(proxy(app="x"))


async def test_an_identity_of_another_zone_asks_for_nothing() -> None:
    made = await rules(**{"kuma.io/origin": "zone", "kuma.io/zone": "west"})
    assert not await made.names(proxy())


async def test_a_builtin_gateway_needs_no_label() -> None:
    gateway = {"type": "BUILTIN", "tags": {"kuma.io/service": "gw"}}
    own = worlds.resource(
        {"type": "Dataplane", "name": "gw", "networking": {"address": "10.0.0.1", "gateway": gateway}}
    )
    await (await rules()).require(own)


@pytest.mark.parametrize(
    ("claimed", "path", "refused"), [("w", "workload", False), ("", "workload", True), ("", "other", False)]
)
async def test_a_token_names_the_workload_that_an_identity_is_made_of(claimed: str, path: str, refused: bool) -> None:
    store = memory.MemoryStore()
    keys = signing_keys.SigningKeys(store)
    await store.create(worlds.a_mesh())
    await keys.ensure(signing_keys.dataplane("m"))

    def now() -> datetime:
        return datetime.now(UTC)

    issuer = tokens.TokenIssuer(keys, now)
    validator = tokens.TokenValidator(keys, now, names_workload=(await rules(PATHS[path])).names)
    token = await issuer.dataplane("m", "web", valid_for=durations.SECOND * 60, workload=claimed)
    own = proxy(**{"kuma.io/workload": "w"})
    if not refused:
        await validator.validate_dataplane(token, own)
        return
    with pytest.raises(errors.Unauthenticated, match="the token is for no workload"):
        await validator.validate_dataplane(token, own)
