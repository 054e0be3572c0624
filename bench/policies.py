"""What a change of policies costs the compiler: `python -m bench.policies`.

A mesh of 1,000 proxies, 100 services, 100 outbounds for each proxy, mutual TLS, and 500 policies that are about single
services. Then one MeshTimeout for the whole mesh changes, and one for the proxies of a single service. Measured: CPU
seconds, and how many nodes and shapes were built.
"""

import time
from collections.abc import Hashable
from typing import Any

from bench import figures, xds
from bench.compile import IDENTITY, decoded
from kuma.compiler import compile, matched, shapes
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
        self.own: dict[str, compile.Own] = {}
        self.shapes: dict[Hashable, shapes.Shape] = {}

    def put(self, *documents: dict[str, Any]) -> None:
        """Takes resources in."""
        edits = [view.Edit(decoded(self.catalog, each)) for each in documents]
        self.world, _ = self.world.advance(edits)

    def compile(self, *changed: str) -> tuple[int, int, int]:
        """Compiles what is told something else after policies of some kinds changed.

        Returns how many proxies those are, of how many the personal half was compiled, and how many shapes.
        """
        picture = self.world.meshes["default"]
        proxies = halves = 0
        before, self.shapes = self.shapes, {}
        for subject in self.subjects:
            name = subject.resource.meta.name
            held = self.said.get(name)
            old = None
            if held is None:
                said = self.compiler.match(picture, subject)
            else:
                said = self.compiler.match_again(picture, subject, held, changed)
                old = before.get(compile.shape_key(picture, subject, held))
            if said is not held:
                proxies += 1
            if held is None or not held.is_same_of_own(said):
                self.own[name] = self.compiler.own(picture, subject, said, compile.Issued(IDENTITY), None)
                halves += 1
            self.said[name] = said
            key = compile.shape_key(picture, subject, said)
            if key not in self.shapes:
                self.shapes[key] = before.get(key) or self.compiler.shape(picture, subject, said, old)
        return proxies, halves, sum(each not in before for each in self.shapes)


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


def run() -> list[figures.Figure]:
    """CPU and numbers of what was built."""
    one = World()
    security = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
    one.put({"type": "Mesh", "name": "default", "mtls": security}, everywhere(5))
    one.put(*(xds.dataplane(number) for number in range(PROXIES)))
    one.put(*(for_service(kind, number, conf) for kind, conf in CONFS.items() for number in range(xds.SERVICES)))
    planes = one.world.meshes["default"].dataplanes
    one.subjects = [proxy.facts_of(each, {}) for each in planes.values()]
    found: list[figures.Figure] = []
    first = _measured(one, "all proxies for the first time", found)
    one.put(everywhere(6))
    wide = _measured(one, "MeshTimeout of the mesh", found, "MeshTimeout")
    one.put(for_service("MeshTimeout", 7, {"http": {"requestTimeout": "9s"}}))
    narrow = _measured(one, "MeshTimeout of one service", found, "MeshTimeout")
    found.append(figures.Figure("policies: for the first time : mesh", first / wide, "x", more_is_better=True))
    found.append(figures.Figure("policies: mesh : one service", wide / narrow, "x", more_is_better=True))
    return found


def _measured(one: World, what: str, into: list[figures.Figure], *changed: str) -> float:
    """CPU seconds of a change, which become figures together with the numbers of what was built."""
    nodes, begin = one.compiler.nodes_built, time.process_time()
    proxies, halves, shapes = one.compile(*changed)
    seconds = time.process_time() - begin
    into.append(figures.Figure(f"policies: {what}", seconds, "s CPU"))
    counted = {
        "proxies": proxies,
        "personal halves": halves,
        "shapes": shapes,
        "nodes": one.compiler.nodes_built - nodes,
    }
    into += [figures.Figure(f"policies: {what}, {of}", number, "") for of, number in counted.items()]
    return seconds


if __name__ == "__main__":
    print(figures.table(run()))
