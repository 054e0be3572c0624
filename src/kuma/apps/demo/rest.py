"""The little that the demo needs of HTTP: JSON from the control plane and from the page's status."""

import json
from http.client import HTTPConnection, HTTPException
from typing import Any

SECONDS = 5.0


class NoAnswer(Exception):
    """Nobody answered, or not with JSON."""


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and JSON (or text) of one request to 127.0.0.1; NoAnswer where none came."""
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    headers = {"accept": "application/json", "connection": "close"}
    payload = None
    if body is not None:
        payload = json.dumps(body).encode()
        headers["content-type"] = "application/json"
    try:
        connection.request(method, path, payload, headers)
        answer = connection.getresponse()
        raw = answer.read()
    except (OSError, HTTPException) as problem:
        raise NoAnswer(str(problem)) from None
    finally:
        connection.close()
    try:
        return answer.status, json.loads(raw) if raw.strip() else {}
    except ValueError:
        return answer.status, raw.decode(errors="replace")
