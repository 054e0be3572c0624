"""What the compiler costs without a control plane around it: `python -m bench.compile`.

A mesh of 100 services with mutual TLS and a permission, in memory. Each cost is that of one call with empty memos
(fresh) or with all that earlier calls left behind (memoised), in microseconds of one core.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

from bench import figures, xds
from kuma.compiler import compile, destinations, inbounds, outbounds, render
from kuma.discovery import resources as xds_types
from kuma.legacy_policies import discovery as legacy_policies
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policies import discovery as policies
from kuma.policy_engine import routing
from kuma.resources import builtin, catalog, codec
from kuma.resources import resource as res

PROXIES = 1000
REPEATS = 7
IDENTITY = compile.Identity(b"certificate", b"key", b"roots")


def decoded(known: catalog.Catalog, document: dict[str, Any]) -> res.Resource[Any]:
    """A resource from its document."""
    kind = known.find(document["type"])
    assert kind is not None
    return codec.decode(kind, document)


def picture(compiler: compile.Compiler) -> view.MeshView:
    """The mesh of `bench.xds`."""
    known = catalog.Catalog([*builtin.CORE_KINDS, *policies.kinds(), *legacy_policies.kinds()])
    backend = {"name": "ca-1", "type": "builtin"}
    documents: list[dict[str, Any]] = [
        {"type": "Mesh", "name": "default", "mtls": {"enabledBackend": "ca-1", "backends": [backend]}},
        xds.permission("allow-all", {}, "Allow"),
        *(xds.dataplane(number) for number in range(PROXIES)),
    ]
    edits = [view.Edit(decoded(known, each)) for each in documents]
    world, _ = view.WorldView(compiler.policy_kinds).advance(edits)
    return world.meshes["default"]


def microseconds(work: Callable[[], object], times: int = 1) -> float:
    """The median over `REPEATS` of what one of `times` calls costs."""
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        for _ in range(times):
            work()
        taken.append((time.perf_counter() - begin) / times)
    return 1e6 * statistics.median(taken)


def new_compiler() -> compile.Compiler:
    """One without memories."""
    return compile.Compiler([*policies.policies(), *legacy_policies.policies()])


def run() -> list[figures.Figure]:
    """Microseconds of each step."""
    compiler = new_compiler()
    mesh = picture(compiler)
    subject = proxy.facts_of(mesh.dataplanes["proxy-0"], {})
    clients = destinations.Clients(mesh, False, compiler.held(mesh, subject))
    outbound = outbounds.facts(subject, clients)[0]
    service = mesh.endpoints.of(outbound.destination.service)
    said = compiler.match(mesh, subject)
    shape = compiler.shape(mesh, subject, said)
    own = compiler.own(mesh, subject, said, compile.Issued(IDENTITY), None)

    def outbound_node() -> None:
        node = outbounds.node(mesh, outbound, routing.default_routes(outbound))
        render.rendered(xds_types.LISTENER, render.listener(node.listener, node.routes))
        behind = outbounds.destination(mesh, outbound.destination)
        render.rendered(xds_types.CLUSTER, render.cluster(behind.cluster))

    def inbound_node() -> None:
        node = inbounds.node(mesh, subject, next(iter(inbounds.facts(subject))))
        render.rendered(xds_types.LISTENER, render.listener(node.listener))
        render.rendered(xds_types.CLUSTER, render.cluster(node.cluster))

    def assignment() -> None:
        render.rendered(xds_types.ENDPOINT, outbounds.load_assignment(service.name, service.endpoints))

    fresh = microseconds(lambda: new_compiler().shape(mesh, subject, said))
    memoised = microseconds(lambda: compiler.shape(mesh, subject, said, shape), 20)
    rows = [
        ("inbound node, rendered", microseconds(inbound_node, 200)),
        ("outbound node, rendered", microseconds(outbound_node, 200)),
        (f"endpoints of one service ({len(service.endpoints)}), rendered", microseconds(assignment, 200)),
        (
            "personal half of a proxy",
            microseconds(lambda: compiler.own(mesh, subject, said, compile.Issued(IDENTITY), None), 200),
        ),
        (f"shape of {xds.OUTBOUNDS} outbounds, fresh", fresh),
        (f"shape of {xds.OUTBOUNDS} outbounds, memoised", memoised),
        ("snapshot of a proxy", microseconds(lambda: compile.snapshot(own, shape), 1000)),
    ]
    found = [figures.Figure(f"compile: {name}", value, "us") for name, value in rows]
    return [*found, figures.Figure("compile: fresh shape : memoised", fresh / memoised, "x", more_is_better=True)]


if __name__ == "__main__":
    print(figures.table(run()))
