"""What proxies hold after one change after the other equals what they would be given now: nothing stale is left.

The publisher keeps and takes over a lot between two changes; a publisher that begins anew for a single proxy does not.
"""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import prometheus_client
from hypothesis import given, settings
from hypothesis import strategies as some

from kuma.compiler import compile, zone_egress
from kuma.mesh import view
from kuma.policies import discovery
from kuma.resources import builtin, codec
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.services import metrics
from kuma.services.proxies import feeds, publisher
from kuma.services.trust import admin_certificates, identities
from kuma.store import memory

PROXIES = ("web-2", "web-1", "api-1")
"""The one that policies name is not the first of its like: what was said of the first must not be taken for its own."""
CATALOG = catalogs.Catalog([*builtin.CORE_KINDS, *discovery.kinds()])
POLICIES = discovery.policies()


def clock() -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC)


def read(document: dict[str, Any]) -> res.Resource[Any]:
    kind = CATALOG.find(document["type"])
    assert kind is not None
    return codec.decode(kind, document if document["type"] == "Mesh" else {"mesh": "m", **document})


def a_mesh(mode: str) -> dict[str, Any]:
    return {"type": "Mesh", "name": "m", "meshServices": {"mode": mode}}


def a_proxy(name: str, protocol: str, version: str) -> dict[str, Any]:
    service = name.rpartition("-")[0]
    tags = {"kuma.io/service": service, "kuma.io/protocol": protocol, "version": version}
    outbound = [
        {"port": 20000, "tags": {"kuma.io/service": "api"}},
        {"port": 20001, "backendRef": {"kind": "MeshService", "name": "api", "port": 80}},
    ]
    networking = {"address": "10.0.0.1", "inbound": [{"port": 80, "name": "in", "tags": tags}], "outbound": outbound}
    return {"type": "Dataplane", "name": name, "labels": {"app": service}, "networking": networking}


def a_service(name: str, protocol: str, team: str) -> dict[str, Any]:
    spec = {
        "selector": {"dataplaneTags": {"kuma.io/service": name}},
        "ports": [{"port": 80, "appProtocol": protocol, "name": "main"}],
    }
    return {"type": "MeshService", "name": name, "labels": {"team": team}, "spec": spec}


def a_policy(kind: str, name: str, target: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "spec": {"targetRef": target, **spec}}


def a_route(target: dict[str, Any], destination: dict[str, Any], backend: dict[str, Any]) -> dict[str, Any]:
    rule = {"matches": [{"path": {"type": "PathPrefix", "value": "/new"}}], "default": {"backendRefs": [backend]}}
    return a_policy("MeshHTTPRoute", "r", target, to=[{"targetRef": destination, "rules": [rule]}])


def a_timeout(target: dict[str, Any], to: dict[str, Any], seconds: int) -> dict[str, Any]:
    entry = {"targetRef": to, "default": {"connectionTimeout": f"{seconds}s", "http": {"requestTimeout": "9s"}}}
    return a_policy("MeshTimeout", f"t-{seconds}", target, to=[entry])


def a_log(target: dict[str, Any], member: str, to: dict[str, Any]) -> dict[str, Any]:
    conf = {"backends": [{"type": "Tcp", "tcp": {"address": "127.0.0.1:5000"}}]}
    return a_policy("MeshAccessLog", "l", target, **{member: [{"targetRef": to, "default": conf}]})


def a_permission(target: dict[str, Any], action: str) -> dict[str, Any]:
    entry = {"targetRef": {"kind": "Mesh"}, "default": {"action": action}}
    return a_policy("MeshTrafficPermission", "p", target, **{"from": [entry]})


PROTOCOLS = some.sampled_from(("http", "tcp"))
TEAMS = some.sampled_from(("a", "b"))
SELECTING = some.sampled_from(
    (
        {"kind": "Mesh"},
        {"kind": "Dataplane", "name": "web-1"},
        {"kind": "Dataplane", "labels": {"app": "web"}},
        {"kind": "MeshSubset", "tags": {"version": "v1"}},
    )
)
ON_ROUTE = some.just({"kind": "MeshHTTPRoute", "name": "r"})
DESTINATIONS = some.sampled_from(
    (
        {"kind": "MeshService", "name": "api"},
        {"kind": "MeshService", "name": "api", "sectionName": "main"},
        {"kind": "MeshService", "labels": {"team": "a"}},
    )
)
BACKENDS = some.sampled_from(
    (
        {"kind": "MeshService", "name": "canary"},
        {"kind": "MeshService", "name": "canary", "port": 80},
        {"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v1"}},
    )
)
ROUTES = some.builds(a_route, SELECTING, DESTINATIONS, BACKENDS).map(read)
TIMEOUTS_ON_ROUTES = some.builds(a_timeout, ON_ROUTE, some.just({"kind": "Mesh"}), some.just(3)).map(read)
OTHERS = some.one_of(
    some.builds(a_mesh, some.sampled_from(("Disabled", "Everywhere", "Exclusive"))),
    some.builds(a_proxy, some.sampled_from(PROXIES), PROTOCOLS, some.sampled_from(("v1", "v2"))),
    some.builds(a_service, some.sampled_from(("api", "canary")), PROTOCOLS, TEAMS),
    some.builds(a_timeout, SELECTING, some.one_of(some.just({"kind": "Mesh"}), DESTINATIONS), some.integers(1, 2)),
    some.builds(a_log, SELECTING, some.just("to"), some.one_of(ON_ROUTE, DESTINATIONS)),
    some.builds(a_log, SELECTING, some.just("from"), some.just({"kind": "Mesh"})),
    some.builds(a_permission, SELECTING, some.sampled_from(("Allow", "Deny"))),
).map(read)
CANARIES = some.builds(a_proxy, some.just("canary-1"), PROTOCOLS, some.just("v1")).map(read)
LASTING = ("Mesh", *PROXIES)


def _edit(resource: res.Resource[Any], is_gone: bool) -> view.Edit:
    return view.Edit(resource, is_gone and not {resource.kind.name, resource.meta.name} & {*LASTING})


EDITS = some.builds(
    _edit, some.one_of(OTHERS, CANARIES, ROUTES, TIMEOUTS_ON_ROUTES), some.sampled_from((False, False, True))
)
FIRST = some.tuples(ROUTES, TIMEOUTS_ON_ROUTES).map(lambda found: [view.Edit(each) for each in found])
STEPS = some.lists(some.lists(EDITS, min_size=1, max_size=3), max_size=5)
LAST = CANARIES.map(lambda found: [view.Edit(found)])
BEGUN = [
    view.Edit(read(each))
    for each in (
        a_mesh("Everywhere"),
        *(a_proxy(name, "http", "v1") for name in PROXIES),
        a_service("api", "http", "a"),
    )
]


def _attached(names: Iterable[str]) -> tuple[publisher.Publisher, dict[str, feeds.Feed]]:
    store = memory.MemoryStore(clock)
    made = publisher.Publisher(
        store,
        CATALOG,
        compile.Compiler(POLICIES),
        zone_egress.ZoneEgressCompiler(POLICIES),
        identities.Identities(store, clock),
        admin_certificates.AdminCertificates(store, clock),
        metrics.Metrics(prometheus_client.CollectorRegistry(), ""),
    )
    return made, {name: made.attach(res.Key("Dataplane", "m", name), {}) for name in names}


def _held(feed: feeds.Feed) -> dict[tuple[str, str], tuple[bytes, Any]]:
    assert feed.snapshot is not None
    found = [
        each for of_type in feed.snapshot.sets.values() for each in (*of_type.shared.values(), *of_type.own.values())
    ]
    return {(each.type_url, each.name): (each.value, feed.origins(each.type_url, each.name)) for each in found}


async def _require_nothing_stale(steps: list[list[view.Edit]]) -> None:
    kept, attached = _attached(PROXIES)
    there: dict[res.Key, view.Edit] = {}
    for edits in (BEGUN, *steps):
        there.update((each.resource.key, each) for each in edits)
        await kept._take(edits)
        left = [each for each in there.values() if not each.deleted]
        for name, feed in attached.items():
            anew, alone = _attached([name])
            await anew._take(sorted(left, key=lambda each: each.resource.kind.name != "Mesh"))
            assert _held(feed) == _held(alone[name]), name


@settings(deadline=None, max_examples=30)
@given(FIRST, STEPS, LAST)
def test_nothing_stale_is_left_whatever_changes(
    first: list[view.Edit], steps: list[list[view.Edit]], last: list[view.Edit]
) -> None:
    asyncio.run(_require_nothing_stale([first, *steps, last]))
