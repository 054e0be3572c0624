"""What a change of policies costs the compiler: `python -m bench.policies`.

A mesh of 1,000 proxies, 100 services, 100 outbounds for each proxy, mutual TLS, and 500 policies that are about single
services. Then one MeshTimeout for the whole mesh changes, and one for the proxies of a single service. Measured: CPU
seconds, and how many nodes and shapes were built.
"""

import time
from collections.abc import Callable, Hashable
from typing import Any

from bench import figures, xds
from bench.compile import IDENTITY, decoded
from kuma.compiler import compile, matched
from kuma.legacy_policies import discovery as legacy_policies
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies import discovery as policies
from kuma.resources import builtin, catalog

PROXIES = 1000
EVERYBODY = {"kind": "Mesh"}
CONFS: dict[str, dict[str, Any]] = {
    "MeshTimeout": {"http": {"requestTimeout": "7s"}},
    "MeshRetry": {"http": {"numRetries": 3}},
    "MeshCircuitBreaker": {"connectionLimits": {"maxConnections": 50}},
    "MeshHealthCheck": {"interval": "10s", "tcp": {}},
    "MeshTCPRoute": {},
}
"""The conf of one policy of each kind for each service."""


class World:
    """All proxies of a mesh, compiled again whenever policies say something else to them."""

    def __init__(self) -> None:
        found = [*policies.policies(), *legacy_policies.policies()]
        self.compiler = compile.Compiler(found)
        self.catalog = catalog.Catalog([*builtin.CORE_KINDS, *policies.kinds(), *legacy_policies.kinds()])
        self.world = view.WorldView(self.compiler.policy_kinds)
        self.subjects: list[proxy.ProxyFacts] = []
        self.said: dict[str, matched.Matched] = {}
        self.shapes: dict[Hashable, compile.Shape] = {}

    def put(self, *documents: dict[str, Any]) -> None:
        """Takes resources in."""
        edits = [view.Edit(decoded(self.catalog, each)) for each in documents]
        self.world, _ = self.world.advance(edits)

    def compile(self) -> tuple[int, int]:
        """Compiles the proxies to which something else is said; how many proxies and shapes that were."""
        picture = self.world.meshes["default"]
        proxies = 0
        before, self.shapes = self.shapes, {}
        for subject in self.subjects:
            name = subject.resource.meta.name
            said = self.compiler.match(picture, subject)
            held = self.said.get(name)
            if held is None or not held.is_same(said):
                self.said[name] = held = said
                self.compiler.own(picture, subject, said, compile.Issued(IDENTITY), None)
                proxies += 1
            key = compile.shape_key(picture, subject, held)
            if key not in self.shapes:
                self.shapes[key] = before.get(key) or self.compiler.shape(picture, subject, held)
        return proxies, sum(each not in before for each in self.shapes)


def policy(kind: str, name: str, target: dict[str, Any], to: dict[str, Any], conf: dict[str, Any]) -> dict[str, Any]:
    """A policy with one `to`."""
    entry = {"targetRef": to, **({"rules": [{"default": conf}]} if kind == "MeshTCPRoute" else {"default": conf})}
    return {"type": kind, "mesh": "default", "name": name, "spec": {"targetRef": target, "to": [entry]}}


def everywhere(seconds: int) -> dict[str, Any]:
    """The MeshTimeout of the whole mesh."""
    return policy("MeshTimeout", "a-storm", EVERYBODY, EVERYBODY, {"connectionTimeout": f"{seconds}s"})


def for_service(kind: str, number: int, conf: dict[str, Any]) -> dict[str, Any]:
    """A policy for the proxies of one service and their calls of another."""
    target = {"kind": "MeshSubset", "tags": {"kuma.io/service": f"service-{number}"}}
    called = {"kind": "MeshService", "name": f"service-{(number + 1) % xds.SERVICES}"}
    return policy(kind, f"{kind.lower()}-{number}", target, called, conf)


def measured(work: Callable[[], tuple[int, int]]) -> tuple[float, int, int]:
    """CPU seconds of some work, and what it returned."""
    begin = time.process_time()
    proxies, shapes = work()
    return time.process_time() - begin, proxies, shapes


def run() -> list[figures.Figure]:
    """CPU and numbers of what was built."""
    one = World()
    security = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
    one.put({"type": "Mesh", "name": "default", "mtls": security}, everywhere(5))
    one.put(*(xds.dataplane(number) for number in range(PROXIES)))
    one.put(*(for_service(kind, number, conf) for kind, conf in CONFS.items() for number in range(xds.SERVICES)))
    planes = one.world.meshes["default"].dataplanes
    one.subjects = [proxy.facts_of(each, {}) for each in planes.values()]
    first, _, _ = measured(one.compile)
    all_nodes = one.compiler.nodes_built
    one.put(everywhere(6))
    wide, _, wide_shapes = measured(one.compile)
    wide_nodes = one.compiler.nodes_built - all_nodes
    one.put(for_service("MeshTimeout", 7, {"http": {"requestTimeout": "9s"}}))
    narrow, narrow_proxies, narrow_shapes = measured(one.compile)
    narrow_nodes = one.compiler.nodes_built - all_nodes - wide_nodes
    return [
        figures.Figure("policies: all proxies for the first time", first, "s CPU"),
        figures.Figure("policies: MeshTimeout of the mesh", wide, "s CPU"),
        figures.Figure("policies: MeshTimeout of the mesh, shapes", wide_shapes, ""),
        figures.Figure("policies: MeshTimeout of the mesh, nodes", wide_nodes, ""),
        figures.Figure("policies: MeshTimeout of one service", narrow, "s CPU"),
        figures.Figure("policies: MeshTimeout of one service, proxies", narrow_proxies, ""),
        figures.Figure("policies: MeshTimeout of one service, shapes", narrow_shapes, ""),
        figures.Figure("policies: MeshTimeout of one service, nodes", narrow_nodes, ""),
        figures.Figure("policies: mesh : one service", wide / narrow, "x", more_is_better=True),
    ]


if __name__ == "__main__":
    print(figures.table(run()))
