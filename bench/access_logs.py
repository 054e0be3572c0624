"""What lines that name their source cost the control plane: `python -m bench.access_logs`.

A mesh of 1,000 proxies with 100 outbounds each and mutual TLS, ten replicas to a service, and a MeshAccessLog of the whole
mesh that writes calls to files. What stands in a line of all proxies is built once; the address of the source, which
Kuma's own formats name, makes each listener of an outbound one proxy's alone. Each sort of line is measured in a process
of its own: CPU seconds of the compiler and megabytes of what it keeps.
"""

import multiprocessing
import resource
import time
from typing import Any

from bench import figures, policies, xds
from kuma.plan import proxy

MEBI = 2**10
"""Of the kibibytes that Linux counts."""

LINES: dict[str, dict[str, Any] | None] = {
    "no logs of calls": None,
    "lines without the source": {"type": "Plain", "plain": "%START_TIME% %KUMA_DESTINATION_SERVICE%"},
    "lines with the service of the source": {"type": "Plain", "plain": "%KUMA_SOURCE_SERVICE%"},
    "lines with the address of the source (as by default)": {},
}
"""Formats; the empty one is Kuma's own."""


def logged(form: dict[str, Any]) -> dict[str, Any]:
    """A MeshAccessLog for calls of all proxies."""
    file = {"path": "/tmp/access.log", **({"format": form} if form else {})}
    conf = {"backends": [{"type": "File", "file": file}]}
    return policies.policy("MeshAccessLog", "calls", policies.EVERYBODY, policies.EVERYBODY, conf)


def measured(form: dict[str, Any] | None) -> tuple[float, float, int]:
    """CPU seconds of compiling all proxies, megabytes that it keeps, and nodes that were built."""
    one = policies.World()
    security = {"enabledBackend": "ca", "backends": [{"name": "ca", "type": "builtin"}]}
    one.put({"type": "Mesh", "name": "default", "mtls": security})
    one.put(*(xds.dataplane(number) for number in range(policies.PROXIES)))
    if form is not None:
        one.put(logged(form))
    one.subjects = [proxy.facts_of(each, {}) for each in one.world.meshes["default"].dataplanes.values()]
    memory, begin = _resident(), time.process_time()
    one.compile()
    return time.process_time() - begin, _resident() - memory, one.compiler.nodes_built


def _resident() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBI


def run() -> list[figures.Figure]:
    """CPU, memory and nodes of each sort of line."""
    found: list[figures.Figure] = []
    for name, form in LINES.items():
        with multiprocessing.get_context("spawn").Pool(1) as apart:
            seconds, megabytes, nodes = apart.apply(measured, (form,))
        found += [
            figures.Figure(f"access logs: {name}", seconds, "s CPU"),
            figures.Figure(f"access logs: {name}, kept", megabytes, "MB"),
            figures.Figure(f"access logs: {name}, nodes", nodes, ""),
        ]
    return found


if __name__ == "__main__":
    print(figures.table(run()))
