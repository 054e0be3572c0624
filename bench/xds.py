"""How much load does one core of a control plane carry? `python -m bench.xds [-n PROXIES] [--delta] [--runs N]`

Starts the real `kuma-cp` (memory store, mutual TLS) on the first core, and on the last one N simulated Envoys, which
belong to 100 services and list 100 outbounds each. Measured: the time until all are configured; the time from a REST
call that changes one endpoint, or the permissions of the whole mesh, until it has reached a proxy; CPU and memory.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import uvloop
from envoy.config.core.v3 import base_pb2
from google.protobuf import struct_pb2

from bench import envoys, figures, planes
from kuma.discovery import resources as xds

SERVICES = OUTBOUNDS = 100
ROUNDS = 5
MESH = "/meshes/default"
SETTLE_SECONDS, IDLE_SECONDS = 3.0, 10.0
ROUND_SECONDS = 120.0

TARGETS: Mapping[int, Mapping[str, float]] = {
    100: {"configured": 1.0, "endpoint p99": 60, "permission p99": 200, "memory, end": 120, "idle CPU": 1},
    1000: {"configured": 6.0, "endpoint p99": 300, "permission p99": 2000, "memory, end": 450, "idle CPU": 2},
}
"""What the project wants, by number of proxies."""

KUMA: Mapping[int, Mapping[str, float]] = {
    100: {
        "configured": 15.0,
        "endpoint p50": 1700,
        "endpoint p99": 2300,
        "permission p50": 1700,
        "permission p99": 2200,
        "CPU until configured": 15.0,
        "memory, end": 362,
        "idle CPU": 16,
    },
    1000: {
        "configured": 169,
        "endpoint p50": 31_900,
        "endpoint p99": 57_100,
        "CPU until configured": 169,
        "memory, end": 2929,
        "idle CPU": 100,
    },
}
"""What Kuma 2.14.3 (Go) needed for the same on one core of such a machine, state of the world."""


@dataclass(frozen=True, slots=True)
class Change:
    """A REST call, and the bytes by which a proxy's next response of a type shows that it took effect."""

    path: str
    document: Mapping[str, Any]
    type_url: str
    mark: bytes


def dataplane(number: int, address: str = "") -> dict[str, Any]:
    """One proxy's Dataplane. Replicas of a service are alike but for name and address."""
    service = f"service-{number % SERVICES}"
    tags = {"kuma.io/service": service, "kuma.io/protocol": "http", "version": f"v{number % 2 + 1}"}
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": f"proxy-{number}",
        "labels": {"app": service},
        "networking": {
            "address": address or f"10.1.{number // 250}.{number % 250 + 1}",
            "inbound": [{"port": 8080, "servicePort": 80, "tags": tags}],
            "outbound": [
                {"port": 20_000 + each, "tags": {"kuma.io/service": f"service-{each}"}} for each in range(OUTBOUNDS)
            ],
        },
    }


def permission(name: str, client: Mapping[str, str], action: str) -> dict[str, Any]:
    """A MeshTrafficPermission for every proxy of the mesh."""
    target = {"kind": "MeshSubset", "tags": client} if client else {"kind": "Mesh"}
    rules = [{"targetRef": target, "default": {"action": action}}]
    spec = {"targetRef": {"kind": "Mesh"}, "from": rules}
    return {"type": "MeshTrafficPermission", "mesh": "default", "name": name, "spec": spec}


def node(number: int) -> Any:
    """Who a simulated Envoy says it is."""
    metadata = struct_pb2.Struct()
    versions: Any = {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2", "kumaDpCompatible": True}}
    metadata.update({"version": versions, "dataplane.proxyType": "dataplane"})
    return base_pb2.Node(id=f"default.proxy-{number}", cluster=f"service-{number % SERVICES}", metadata=metadata)


def fill(rest: planes.Rest, count: int) -> None:
    """Mesh with mutual TLS, a permission for all, and the proxies."""
    backend = {"name": "ca-1", "type": "builtin"}
    mtls = {"enabledBackend": "ca-1", "backends": [backend]}
    rest.put(MESH, {"type": "Mesh", "name": "default", "mtls": mtls})
    rest.put(f"{MESH}/meshtrafficpermissions/allow-all", permission("allow-all", {}, "Allow"))
    for number in range(count):
        rest.put(f"{MESH}/dataplanes/proxy-{number}", dataplane(number))


def endpoint_change(step: int) -> Change:
    """The first proxy gets an address that nobody had before."""
    address = f"10.200.0.{100 + step}"
    return Change(f"{MESH}/dataplanes/proxy-0", dataplane(0, address), xds.ENDPOINT, address.encode())


def permission_change(step: int) -> Change:
    """A client that nobody spoke of before is refused by all proxies."""
    client = f"stranger-{step}"
    document = permission("a-stranger", {"kuma.io/service": client}, "Deny")
    return Change(f"{MESH}/meshtrafficpermissions/a-stranger", document, xds.LISTENER, client.encode())


async def configure(crowd: envoys.Crowd, port: int, count: int) -> float:
    """Seconds from the first connection attempt until the last proxy is configured."""
    done, missing = asyncio.Event(), count

    def one_more() -> None:
        nonlocal missing
        missing -= 1
        if not missing:
            done.set()

    crowd.on_configured = one_more
    begin = time.perf_counter()
    await crowd.connect(port, node, count)
    try:
        await asyncio.wait_for(done.wait(), ROUND_SECONDS)
    except TimeoutError:
        raise SystemExit(f"{missing} of {count} proxies were not configured: {crowd.failures[:3]}") from None
    return max(each.configured_at for each in crowd.members) - begin


async def spread(crowd: envoys.Crowd, rest: planes.Rest, change: Change) -> list[float]:
    """Milliseconds from the REST call until each proxy has received the change."""
    left, done, delays = set(crowd.members), asyncio.Event(), []
    begin = time.perf_counter()

    def heard(member: envoys.Envoy, type_url: str, raw: bytes) -> None:
        if type_url == change.type_url and member in left and change.mark in raw:
            left.discard(member)
            delays.append(1000 * (time.perf_counter() - begin))
            if not left:
                done.set()

    crowd.on_answer = heard
    await asyncio.to_thread(rest.put, change.path, change.document)
    try:
        await asyncio.wait_for(done.wait(), ROUND_SECONDS)
    except TimeoutError:
        raise SystemExit(f"{change.path} did not reach {len(left)} proxies: {crowd.failures[:3]}") from None
    await asyncio.sleep(1.0)  # acknowledgements and insights are not the next round's work
    crowd.on_answer = None
    return delays


async def measure(plane: planes.Plane, count: int, delta: bool) -> dict[str, tuple[float, str]]:
    """Every figure by name, with its unit."""
    found = {"memory, start": (plane.usage.rss, "MB")}
    await asyncio.to_thread(fill, plane.rest, count)
    await asyncio.sleep(SETTLE_SECONDS)
    crowd = envoys.Crowd(envoys.Variant(delta), "default", with_secrets=True)
    before = plane.usage
    found["configured"] = (await configure(crowd, plane.dp_port, count), "s")
    found["CPU until configured"] = (plane.usage.cpu - before.cpu, "s")
    found["sent until configured"] = (crowd.received / count / 1024, "KiB a proxy")
    await asyncio.sleep(SETTLE_SECONDS)
    changes: tuple[tuple[str, Callable[[int], Change]], ...] = (
        ("endpoint", endpoint_change),
        ("permission", permission_change),
    )
    for name, change in changes:
        before = plane.usage
        rounds = [await spread(crowd, plane.rest, change(step)) for step in range(ROUNDS)]
        found[f"{name} p50"] = (statistics.median(figures.percentile(each, 0.5) for each in rounds), "ms")
        found[f"{name} p99"] = (statistics.median(figures.percentile(each, 0.99) for each in rounds), "ms")
        found[f"{name} CPU"] = ((plane.usage.cpu - before.cpu) / ROUNDS, "s")
    await asyncio.sleep(SETTLE_SECONDS)
    before = plane.usage
    await asyncio.sleep(IDLE_SECONDS)
    found["idle CPU"] = (100 * (plane.usage.cpu - before.cpu) / IDLE_SECONDS, "%")
    found["memory, end"] = (plane.usage.rss, "MB")
    crowd.close()
    if crowd.failures:
        raise SystemExit(f"{len(crowd.failures)} failures, the first: {crowd.failures[0]}")
    return found


def run_once(count: int, delta: bool) -> list[figures.Figure]:
    """The figures of one run against a fresh control plane."""
    available = planes.cores()
    with planes.control_plane(available[:1], STORE_TYPE="memory") as plane, planes.pinned(available[-1:]):
        found = uvloop.run(measure(plane, count, delta))
    title = f"{count:,} {'delta' if delta else 'sotw'}"
    targets, theirs = TARGETS.get(count, {}), KUMA.get(count, {})
    return [
        figures.Figure(f"xds {title}: {name}", value, unit, targets.get(name), theirs.get(name))
        for name, (value, unit) in found.items()
    ]


def run(counts: Sequence[int] = (100, 1000), runs: int = 1) -> list[figures.Figure]:
    """Both variants for each number of proxies; medians of `runs`."""
    out = []
    for count in counts:
        for delta in (False, True):
            out += figures.medians([run_once(count, delta) for _ in range(runs)])
    return out


def main() -> None:
    """Prints one variant's table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("-n", "--proxies", type=int, default=100)
    options.add_argument("--delta", action="store_true", help="incremental instead of state of the world")
    options.add_argument("--runs", type=int, default=1, help="how often; medians are shown")
    chosen = options.parse_args()
    print(figures.table(figures.medians([run_once(chosen.proxies, chosen.delta) for _ in range(chosen.runs)])))


if __name__ == "__main__":
    main()
