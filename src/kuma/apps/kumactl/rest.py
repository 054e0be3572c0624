"""The control plane's REST API as the commands see it: one kept connection, JSON in and out, errors as users read them.

Standard library only: a call of kumactl must start faster than most HTTP libraries load.
"""

import http.client
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import kuma
from kuma.apps.kumactl import configuration, grammar
from kuma.base import durations, errors

_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HTTP_OK = 200
HTTP_CREATED = 201
HTTP_NOT_FOUND = 404


class Unreachable(errors.KumaError):
    """No answer came: the address, the network, TLS or the clock stood in the way."""


class Refused(errors.KumaError):
    """The control plane answered with an error.

    `str()` is its title and detail, then a line a bad field; `inline()` the same on one line.
    """

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.title, self.detail, self.fields = _error_parts(status, body)
        lines = [f"* {name}: {reason}" for name, reason in self.fields]
        super().__init__("\n".join([self._head(), *lines]))

    def _head(self) -> str:
        return f"{self.title} ({self.detail})" if self.title else self.detail

    @property
    def is_unknown_path(self) -> bool:
        """Whether the server has no such endpoint at all: what is missing behind one is told as a JSON error."""
        return self.status == HTTP_NOT_FOUND and not self.title

    def inline(self) -> str:
        """The text that `apply` embeds in its own."""
        return self._head() + "".join(f";{name}={reason} " for name, reason in self.fields)


@dataclass(frozen=True, slots=True)
class Reply:
    """A successful answer."""

    status: int
    body: bytes

    def json(self) -> dict[str, Any]:
        """The object in the body, empty for an empty one; Unreachable where there is none: something else answers here."""
        try:
            found = json.loads(self.body) if self.body.strip() else {}
        except (ValueError, RecursionError):
            raise Unreachable("the server's answer is not JSON: is this the address of a control plane?") from None
        if not isinstance(found, dict):
            raise Unreachable("the server's answer is no JSON object: is this the address of a control plane?")
        return found


class ControlPlane:
    """One control plane. Not for use by several threads."""

    def __init__(self, server: configuration.ApiServer, timeout: int) -> None:
        self._server = server
        self._url = server.url.rstrip("/")
        self._parts = urlsplit(self._url)
        self._timeout = timeout / durations.SECOND if timeout else None
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON object at `path`; Refused or Unreachable otherwise."""
        return self.call("GET", path, query=query).json()

    def view(self, what: str, path: str, query: Mapping[str, str] | None = None, *, subject: str = "") -> Reply:
        """As `call`, for a view that not every control plane has; CommandError that names `what` where it is missing.

        A view counts as missing where its path is unknown, or where the resource at `subject` exists all the same.
        """
        try:
            return self.call("GET", path, query=query)
        except Refused as problem:
            if problem.status != HTTP_NOT_FOUND or not (problem.is_unknown_path or self._exists(subject)):
                raise
            reason = f"(GET {path}: {problem.status})"
            raise grammar.CommandError(f"this control plane does not answer {what} yet {reason}") from None

    def _exists(self, path: str) -> bool:
        try:
            return bool(path) and self.call("GET", path).status == HTTP_OK
        except Refused:
            return False

    def call(self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: object = None) -> Reply:
        """One request; `path` starts with a slash and is quoted already. Refused on any status from 300 up."""
        target = path + (f"?{urlencode(query)}" if query else "")
        payload = None if body is None else json.dumps(body).encode()
        headers = self._headers(payload is not None)
        try:
            status, answer = self._exchange(method, self._parts.path + target, payload, headers)
        except (OSError, http.client.HTTPException, UnicodeError) as problem:
            self.close()
            raise Unreachable(f'{method.capitalize()} "{self._url}{target}": {self._reason(problem)}') from None
        if status >= http.client.MULTIPLE_CHOICES:
            raise Refused(status, answer)
        return Reply(status, answer)

    def close(self) -> None:
        """Drops the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, method: str, target: str, payload: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        fresh = self._connection is None
        connection = self._connection = self._connection or self._connect()
        try:
            connection.request(method, target, payload, headers)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if fresh:
                raise
            self.close()
            return self._exchange(method, target, payload, headers)
        return response.status, response.read()

    def _connect(self) -> http.client.HTTPConnection:
        host = self._parts.hostname or ""
        if self._parts.scheme != "https":
            return http.client.HTTPConnection(host, self._parts.port, timeout=self._timeout)
        return http.client.HTTPSConnection(host, self._parts.port, timeout=self._timeout, context=self._tls())

    def _tls(self) -> Any:
        import ssl

        server = self._server
        try:
            context = ssl.create_default_context(cafile=server.ca_cert_file or None)
            if server.skip_verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if server.client_cert_file:
                context.load_cert_chain(server.client_cert_file, server.client_key_file)
        except (OSError, ssl.SSLError) as problem:
            raise grammar.CommandError(f"could not read certificates: {problem.strerror or problem}") from None
        return context

    def _headers(self, has_body: bool) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": f"kumactl/{kuma.VERSION}"}
        if has_body:
            headers["Content-Type"] = "application/json"
        headers.update(self._server.headers)
        token = self._server.auth_conf.get("token", "")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        for name, value in headers.items():
            if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
                # The value is not shown: it may be a token.
                raise grammar.CommandError(
                    f"header {name!r} cannot be sent: a name is one word, a value printable ASCII"
                )
        return headers

    def _reason(self, problem: Exception) -> str:
        """Why nothing came, in the words of the network library that users of Kuma meet."""
        host, port = self._parts.hostname or "", self._parts.port or (443 if self._parts.scheme == "https" else 80)
        if isinstance(problem, socket.gaierror):
            return f"dial tcp: lookup {host}: no such host"
        if isinstance(problem, ConnectionRefusedError):
            return f"dial tcp {_numeric(host)}:{port}: connect: connection refused"
        if isinstance(problem, TimeoutError):
            return "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
        if isinstance(problem, http.client.RemoteDisconnected):
            return "EOF"
        refused = str(getattr(problem, "verify_message", "") or "")
        if refused:
            return f"tls: failed to verify certificate: {refused}"
        return str(problem) or type(problem).__name__


def segment(name: str) -> str:
    """A name as one segment of a path."""
    return quote(name, safe="")


def valid_url(url: str) -> bool:
    """Whether `url` is http or https and names a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _numeric(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host


def _error_parts(status: int, body: bytes) -> tuple[str, str, list[tuple[str, str]]]:
    """Title, detail and bad fields of an error body; a body that is no such object becomes the detail."""
    try:
        tree = json.loads(body)
    except ValueError:
        tree = None
    if not isinstance(tree, dict) or "title" not in tree:
        return "", f"({status}): {body.decode(errors='replace')}", []
    fields = tree.get("invalid_parameters") or []
    bad = [(str(each.get("field", "")), str(each.get("reason", ""))) for each in fields]
    if not bad:
        bad = [(str(each.get("field", "")), str(each.get("message", ""))) for each in tree.get("causes") or []]
    return str(tree["title"]), str(tree.get("detail") or tree.get("details") or ""), bad
