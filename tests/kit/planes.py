"""A real control plane as a process: own folder, free ports, and its REST API."""

import http.client
import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.kit import network, processes

JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def document(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def ask(
    address: str,
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] = JSON,
    timeout: float = 20.0,
) -> Answer:
    """One HTTP/1.1 request on its own connection; OSError where there is no answer."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        fields = {key.lower(): value for key, value in answer.getheaders()}
        return Answer(answer.status, answer.read(), fields)
    except http.client.HTTPException as problem:
        raise ConnectionError(repr(problem)) from problem
    finally:
        connection.close()


class Plane:
    """A control plane. It can be ended and started again on the same ports, folder and store."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """`settings` are environment variables without their `KUMA_`."""
        self.folder = folder
        self.api_port, self.dp_port, self.diagnostics_port = (network.free_port() for _ in range(3))
        self._environment = {
            "KUMA_GENERAL_WORK_DIR": str(folder),
            "KUMA_STORE_TYPE": "memory",
            "KUMA_STORE_SQLITE_PATH": str(folder / "kuma.db"),
            "KUMA_API_SERVER_HTTP_INTERFACE": "127.0.0.1",
            "KUMA_API_SERVER_HTTP_PORT": str(self.api_port),
            "KUMA_API_SERVER_HTTPS_ENABLED": "false",
            "KUMA_DP_SERVER_PORT": str(self.dp_port),
            "KUMA_DIAGNOSTICS_SERVER_PORT": str(self.diagnostics_port),
            "KUMA_XDS_SERVER_DATAPLANE_STATUS_FLUSH_INTERVAL": "100ms",
        } | {f"KUMA_{key}": value for key, value in settings.items()}
        self.program: processes.Program | None = None

    @property
    def ca_file(self) -> Path:
        """The certificate of the data plane port."""
        return self.folder / "kuma-cp.crt"

    def start(self) -> "Plane":
        """Starts it and waits until it is ready."""
        self.program = processes.Program("kuma-cp", ["run"], self._environment, self.folder / "kuma-cp.log")
        self.program.until_running("control plane ready", self._is_ready)
        return self

    def _is_ready(self) -> bool:
        return ask("127.0.0.1", self.diagnostics_port, "GET", "/ready").status == 200

    def join(self, global_address: str) -> None:
        """From its next start on it is a zone of the global control plane there."""
        self._environment["KUMA_MULTIZONE_ZONE_GLOBAL_ADDRESS"] = global_address

    def kill(self) -> None:
        """Ends it as a loss of power would."""
        assert self.program is not None
        self.program.kill()

    def end(self) -> int:
        """Ends it in good order; its exit code."""
        return self.program.end() if self.program is not None else 0

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON) -> Answer:
        """A request to the REST API. `body` is bytes, or a document."""
        raw = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return ask("127.0.0.1", self.api_port, method, path, raw, headers)

    def get(self, path: str) -> Any:
        """The document at a path; AssertionError where the answer is no 200."""
        answer = self.call("GET", path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.text}"
        return answer.document

    def put(self, document: Mapping[str, Any]) -> None:
        """Writes a resource, which must be taken."""
        path = self.path_of(document)
        answer = self.call("PUT", path, document)
        assert answer.status in (200, 201), f"{path}: {answer.status} {answer.text}"

    def delete(self, document: Mapping[str, Any]) -> None:
        """Takes a resource away."""
        path = self.path_of(document)
        answer = self.call("DELETE", path)
        assert answer.status == 200, f"{path}: {answer.status} {answer.text}"

    @staticmethod
    def path_of(document: Mapping[str, Any]) -> str:
        """Where a resource lives."""
        kind = document["type"]
        odd = {
            "GlobalSecret": "global-secrets",
            "MeshIdentity": "meshidentities",
            "TrafficPermission": "traffic-permissions",
            "MeshRetry": "meshretries",
        }
        plural = odd.get(kind) or kind.lower() + ("es" if kind.endswith(("h", "S", "s")) else "s")
        owner = f"/meshes/{document['mesh']}" if document.get("mesh") else ""
        return f"{owner}/{plural}/{urllib.parse.quote(document['name'])}"

    def token(self, mesh: str, name: str = "", **claims: Any) -> str:
        """A dataplane token."""
        wanted = {"mesh": mesh, "name": name, "validFor": "24h", **claims}
        answer = self.call("POST", "/tokens/dataplane", wanted)
        assert answer.status == 200, answer.text
        return answer.text

    def insight(self, mesh: str, name: str) -> dict[str, Any]:
        """The DataplaneInsight of a proxy; AssertionError where there is none."""
        found: dict[str, Any] = self.get(f"/meshes/{mesh}/dataplanes/{name}/_overview")
        insight = found.get("dataplaneInsight")
        assert insight, f"no insight of {name}"
        return dict(insight)

    def is_online(self, mesh: str, name: str) -> bool:
        """Whether the last connection of a proxy is open."""
        return "disconnectTime" not in self.insight(mesh, name)["subscriptions"][-1]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the series of a metric that carry these labels."""
        text = ask("127.0.0.1", self.diagnostics_port, "GET", "/metrics").text
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        lines = (line for line in text.splitlines() if line.startswith((f"{name}{{", f"{name} ")))
        return sum(float(line.rpartition(" ")[2]) for line in lines if all(each in line for each in wanted))
