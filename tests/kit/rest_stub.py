"""A stand-in for the control plane's REST API: resources as they were given, and canned answers for other paths.

It computes no labels, times or defaults and checks nothing, so a client's output depends on the client alone.
"""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kuma.resources import catalog as catalogs
from kuma.resources import codec
from kuma.resources import kind as kinds
from kuma.resources import resource as res

INDEX = {
    "hostname": "stub",
    "product": "Kuma",
    "version": "2.14.3",
    "instanceId": "stub-1",
    "clusterId": "c",
    "gui": "/gui",
}
NOT_FOUND = {"type": "/std-errors", "status": 404, "title": "Could not retrieve a resource", "detail": "Not found"}


class Stub:
    """What the stub holds and what it was asked. Lists without a size keep the order of insertion, pages are sorted."""

    def __init__(self, catalog: catalogs.Catalog) -> None:
        self.catalog = catalog
        self.resources: dict[res.Key, dict[str, Any]] = {}
        self.canned: dict[str, tuple[int, Any]] = {"/": (200, INDEX)}
        self.fallback: Any = None
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    def add(self, document: dict[str, Any]) -> None:
        """Keeps a REST document as a control plane would print it; KeyError for a kind the catalog lacks."""
        kind = self.catalog.find(document["type"])
        if kind is None:
            raise KeyError(document["type"])
        resource = codec.decode_unchecked(kind, document)
        self.resources[resource.key] = codec.encode(resource)

    def answer(self, method: str, target: str, body: Any) -> tuple[int, Any]:
        """Status and body for one request."""
        self.requests.append((method, target, body))
        parts = urlsplit(target)
        if parts.path in self.canned:
            return self.canned[parts.path]
        if self.fallback is not None:
            return 200, self.fallback
        kind, mesh, name = self._place(parts.path)
        if kind is None:
            return 404, NOT_FOUND
        if not name:
            return 200, self._list(kind, mesh, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()})
        key = res.Key(kind.name, mesh, name)
        if method == "PUT":
            known = key in self.resources
            self.add(body)
            return 200 if known else 201, {}
        if key not in self.resources:
            return 404, NOT_FOUND
        return 200, self.resources.pop(key) and {} if method == "DELETE" else self.resources[key]

    def _place(self, path: str) -> tuple[kinds.Kind[Any] | None, str, str]:
        words = path.strip("/").split("/")
        mesh = ""
        if words[0] == "meshes" and len(words) > 2:
            mesh, words = words[1], words[2:]
        return self.catalog.at_path(words[0]), mesh, words[1] if len(words) > 1 else ""

    def _list(self, kind: kinds.Kind[Any], mesh: str, path: str, query: dict[str, str]) -> dict[str, Any]:
        found = [
            each for key, each in self.resources.items() if key.kind == kind.name and (not mesh or key.mesh == mesh)
        ]
        total, following = len(found), None
        if "size" in query:
            start, size = int(query.get("offset", 0)), int(query["size"])
            found = sorted(found, key=lambda each: (each.get("mesh", ""), each["name"]))[start : start + size]
            if start + size < total:
                following = f"{self.url}{path}?offset={start + size}&size={size}"
        return {"total": total, "items": found, "next": following}


@contextlib.contextmanager
def serve(stub: Stub) -> Iterator[Stub]:
    """Runs the stub on a free port of 127.0.0.1; its address is in `stub.url`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one segment, or the client's delayed ACK adds 40 ms

        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(length) if length else b""
            stub.headers.append(dict(self.headers))
            status, body = stub.answer(self.command, self.path, json.loads(raw) if raw else None)
            payload = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_PUT = do_DELETE = do_POST = _any

        def log_message(self, *args: object) -> None:
            """Keeps test output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
