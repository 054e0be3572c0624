"""A mesh of its own for one test: its proxies and applications end with it, and none may have rejected anything."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from tests.kit import echoes, planes, sidecars

_numbers = itertools.count(1)

BUILTIN: dict[str, Any] = {"name": "ca-1", "type": "builtin"}
EVERYBODY = {"kind": "Mesh"}


def mtls(*, mode: str = "STRICT", expiration: str = "", **backend: Any) -> dict[str, Any]:
    """The `mtls` of a Mesh with one backend."""
    made = {**BUILTIN, "mode": mode, **backend}
    if expiration:
        made["dpCert"] = {"rotation": {"expiration": expiration}}
    return {"enabledBackend": made["name"], "backends": [made]}


class Mesh:
    """A mesh and all that runs in it."""

    def __init__(self, plane: planes.Plane, stack: contextlib.ExitStack, name: str = "") -> None:
        self.plane = plane
        self.name = name or f"mesh-{next(_numbers)}"
        self.sidecars: list[sidecars.Sidecar] = []
        self.may_reject: set[str] = set()
        self._stack = stack

    def write(self, **fields: Any) -> "Mesh":
        """Creates or replaces the Mesh."""
        self.plane.put({"type": "Mesh", "name": self.name, **fields})
        return self

    def echo(self, protocol: str, name: str = "echo", port: int = 0) -> echoes.Echo:
        """An application."""
        return self._stack.enter_context(echoes.echo(protocol, name, port))

    def sidecar(self, name: str, **options: Any) -> sidecars.Sidecar:
        """A proxy that is not started yet."""
        made = sidecars.Sidecar(self.plane, self.name, name, **options)
        self._stack.callback(made.end)
        self.sidecars.append(made)
        return made

    def permission(self, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        """A MeshTrafficPermission, not written yet."""
        return {"type": "MeshTrafficPermission", "mesh": self.name, "name": name, "spec": spec}

    def permit(self, *, target: Any = None, clients: Any = None, action: str = "Allow", name: str = "permit") -> Any:
        """Writes a `from` permission; all clients where none are given."""
        entry = {"targetRef": clients or EVERYBODY, "default": {"action": action}}
        made = self.permission(name, {"targetRef": target or EVERYBODY, "from": [entry]})
        self.plane.put(made)
        return made

    @contextlib.contextmanager
    def policy(self, kind: str, target: Any = None, **spec: Any) -> Iterator[None]:
        """A policy on these proxies (absent: all) for the time of the block; `from_` is `from`."""
        written = {key.rstrip("_"): value for key, value in spec.items()}
        document = {
            "type": kind,
            "mesh": self.name,
            "name": "row",
            "spec": {"targetRef": target or EVERYBODY, **written},
        }
        self.plane.put(document)
        try:
            yield
        finally:
            self.plane.delete(document)

    def forget(self, *plurals: str) -> None:
        """Takes away all policies of these kinds, the ones that a new mesh has included."""
        for plural in plurals:
            for each in self.plane.get(f"/meshes/{self.name}/{plural}")["items"]:
                self.plane.delete(each)

    def pair(self, protocol: str = "http", **settings: str) -> tuple[sidecars.Sidecar, sidecars.Sidecar]:
        """A client `web` and a server `echo` of a protocol, both with these settings; both are ready."""
        app = self.echo(protocol)
        server = self.sidecar("echo", inbounds={"echo": app.inbound}, **settings).launch()
        web = self.sidecar("web", inbounds={"web": (1, "http")}, outbounds=("echo",), **settings).launch()
        return web.ready(), server.ready()

    def rejections(self) -> dict[str, Any]:
        """By proxy: the statuses of connections on which something was rejected."""
        found = {}
        for each in self.sidecars:
            if each.name in self.may_reject:
                continue
            answer = self.plane.call("GET", f"/meshes/{self.name}/dataplanes/{each.name}/_overview")
            insight = answer.document.get("dataplaneInsight", {}) if answer.status == 200 else {}
            for one in insight.get("subscriptions", []):
                if one.get("status", {}).get("total", {}).get("responsesRejected"):
                    found[each.name] = one["status"]
        return found


@contextlib.contextmanager
def mesh(plane: planes.Plane) -> Iterator[Mesh]:
    """A mesh without mTLS until it is written otherwise. Ends with a look at what its Envoys rejected."""
    with contextlib.ExitStack() as stack:
        made = Mesh(plane, stack).write()
        yield made
        rejected = made.rejections()
        assert not rejected, f"Envoy rejected configuration: {rejected}"
        for each in made.sidecars:
            if each.program is not None:
                each.program.terminate()  # all at once; the stack waits for each
