"""What the three services share: a small HTTP server, and a call to the next service that knows why it failed."""

import json
import os
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

OK = 200
REFUSED = 403
BROKEN_OFF = 502
UNREACHABLE = 503
CALL_SECONDS = 3.0
CUT_OFF = "connection termination"
"""What the caller's Envoy says when the other side closes the connection instead of answering. That is how a sidecar
refuses below HTTP, and also what one looks like whose application is gone, so it is not called a refusal.
"""
CLIENT_CERTIFICATE = "x-forwarded-client-cert"
"""Header in which a sidecar names the certificate of the caller (Envoy, HTTP header manipulation)."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a call came to nothing: who called whom, the status for the page, and the words of whoever stood in the way."""

    status: int
    caller: str
    callee: str
    reason: str

    def __str__(self) -> str:
        if self.status == UNREACHABLE:
            return f"{self.caller} cannot reach {self.callee} ({self.reason})"
        if self.status == BROKEN_OFF:
            return f"{self.callee} closed the connection of {self.caller} ({self.reason})"
        return f"{self.caller} was refused by {self.callee} ({self.reason})"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service sends back. `body` is JSON unless it is text, which is HTML."""

    status: int
    body: object


Route = Callable[[str, str, dict[str, str]], Reply]
"""Answers (method, path, headers with lower-case names)."""


def call(caller: str, callee: str, port: int, method: str, path: str) -> dict[str, Any] | Trouble:
    """The JSON answer of the service behind a local outbound port, or why there is none.

    A service that was itself let down says so in its answer, which then is passed on as it is.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=CALL_SECONDS)
    try:
        connection.request(method, path, headers={"connection": "close"})
        answer = connection.getresponse()
        status, raw = answer.status, answer.read()
    except ConnectionRefusedError:
        return Trouble(UNREACHABLE, caller, callee, "no sidecar listens on the outbound")
    except TimeoutError:
        return Trouble(UNREACHABLE, caller, callee, f"no answer within {CALL_SECONDS:.0f} s")
    except (ConnectionResetError, HTTPException):
        return Trouble(BROKEN_OFF, caller, callee, "the connection was reset")
    except OSError as problem:
        return Trouble(UNREACHABLE, caller, callee, problem.strerror or str(problem))
    finally:
        connection.close()
    return _understood(caller, callee, status, raw)


def _understood(caller: str, callee: str, status: int, raw: bytes) -> dict[str, Any] | Trouble:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if isinstance(found, dict) and "trouble" in found:
        return Trouble(**found["trouble"])
    if status == OK and isinstance(found, dict):
        return found
    text = raw.decode(errors="replace").strip() or f"status {status}"
    if CUT_OFF in text:
        return Trouble(BROKEN_OFF, caller, callee, text)
    return Trouble(REFUSED if status == REFUSED else UNREACHABLE, caller, callee, text)


def reply_to(trouble: Trouble) -> Reply:
    """Passes a trouble on to whoever called."""
    return Reply(trouble.status, {"trouble": asdict(trouble), "sentence": str(trouble)})


def step(name: str, headers: dict[str, str]) -> dict[str, str]:
    """How a service tells that it answered: its name, the address of its sidecar, and the caller its sidecar saw."""
    return {
        "name": name,
        "address": os.environ.get("DEMO_ADDRESS", ""),
        "caller": caller_identity(headers.get(CLIENT_CERTIFICATE, "")),
    }


def caller_identity(header: str) -> str:
    """The SPIFFE identity in a client certificate header, empty where there is none."""
    for part in header.replace(",", ";").split(";"):
        key, _, value = part.partition("=")
        if key.strip().lower() == "uri" and value.startswith("spiffe://"):
            return value
    return ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    address_family = socket.AF_INET


def serve(port: int, route: Route) -> None:
    """Answers on 127.0.0.1:`port` until the process ends."""
    listen(port, route).serve_forever()


def listen(port: int, route: Route) -> ThreadingHTTPServer:
    """A server that listens on 127.0.0.1:`port` and waits to be run."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body leave together

        def _any(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            if length:
                self.rfile.read(length)
            headers = {key.lower(): value for key, value in self.headers.items()}
            reply = route(self.command, self.path.partition("?")[0], headers)
            is_html = isinstance(reply.body, str)
            content = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            self.send_header("content-type", "text/html; charset=utf-8" if is_html else "application/json")
            self.send_header("content-length", str(len(content)))
            self.send_header("cache-control", "no-store")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_HEAD = _any

        def log_message(self, *args: object) -> None:
            """Requests are many and say nothing new."""

    return _Server(("127.0.0.1", port), Handler)


def required(name: str) -> str:
    """An environment variable that the demo sets; SystemExit with its name where it is absent."""
    value = os.environ.get(name, "")
    if not value:
        raise SystemExit(f"{name} is not set: this service is started by `kumactl demo`")
    return value
