"""Envoys without an agent beside them: started with what `POST /bootstrap` answers, asked what they refused.

Such an Envoy is there in a third of a second, so a test can have dozens.
"""

import asyncio
import json
import re
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kuma.apps.dataplane.supervised import envoy
from kuma.apps.dataplane.wire import http_client
from tests.kit import network, planes, processes

DELTA, UNIFIED = "feature-delta-grpc", "feature-unified-resource-naming"
WAYS: dict[str, tuple[str, ...]] = {
    "legacy": (),
    "legacy-delta": (DELTA,),
    "unified": (UNIFIED,),
    "unified-delta": (UNIFIED, DELTA),
}
"""How a proxy can be told its configuration, with the features of its agent that ask for it."""

_ALWAYS = (
    "feature-tcp-accesslog-via-named-pipe",
    "feature-embedded-dns",
    "feature-strict-inbound-ports",
    "feature-reuse-port",
    "feature-otel-via-kuma-dp",
)
_REFUSALS = r"(update_rejected|listener_create_failure|listener_in_place_update_failure)$"
_WARMING = r"(total_listeners_warming|warming_clusters)$"
_SAID = re.compile(r"^\[[^]]*\]\[\d+\]\[(?:warning|error|critical)\]\[config\].*rejected.*$", re.MULTILINE)


class Envoy:
    """One Envoy for a proxy whose Dataplane the control plane has."""

    def __init__(self, plane: planes.Plane, mesh: str, name: str, features: Sequence[str] = ()) -> None:
        self.mesh, self.name = mesh, name
        self.folder = Path(tempfile.mkdtemp(prefix="kuma-envoy-"))
        self._plane = plane
        self._features = (*_ALWAYS, *features)
        self._socket = ""
        self.program: processes.Program | None = None

    def launch(self) -> "Envoy":
        """Starts it without waiting."""
        config = envoy.read_config(self._bootstrap())
        self._socket = envoy.admin_of(config).socket
        path = self.folder / "bootstrap.json"
        path.write_text(json.dumps(config))
        arguments = envoy.arguments("envoy", str(path), 1, "warning", "", 1)[1:]
        self.program = processes.Program("envoy", arguments, {}, self.folder / "envoy.log")
        return self

    def _bootstrap(self) -> bytes:
        tls = ssl.create_default_context(cafile=str(self._plane.ca_file))
        url = f"https://localhost:{self._plane.dp_port}/bootstrap"
        body = json.dumps(self._request()).encode()
        answer = asyncio.run(http_client.send_request("POST", url, body=body, tls=tls))
        assert answer.status == 200, f"{self.mesh}/{self.name}: {answer.status} {answer.body.decode()}"
        return answer.body

    def _request(self) -> dict[str, Any]:
        return {
            "mesh": self.mesh,
            "name": self.name,
            "proxyType": "dataplane",
            "version": {"envoy": {"version": "1.38.2", "kumaDpCompatible": True}, "kumaDp": {"version": "2.14.3"}},
            "features": self._features,
            "dataplaneToken": self._plane.token(self.mesh, self.name),
            "caCert": self._plane.ca_file.read_text(),
            "dnsPort": network.free_port(),
            "readinessPort": network.free_port(),
            "operatingSystem": "linux",
            "workdir": str(self.folder),
            "systemCaPath": "/etc/ssl/certs/ca-certificates.crt",
        }

    def ask(self, path: str) -> str:
        """What the admin API answers; OSError where it does not."""
        sent = http_client.send_request("GET", f"http://envoy{path}", unix_socket=self._socket)
        return asyncio.run(sent).body.decode()

    def listeners(self) -> dict[str, Any]:
        """Listeners from the control plane with their states, by name."""
        found = self._dumped("dynamic_listeners")
        return {each["name"]: each for each in found if "name" in each}

    def clusters(self) -> set[str]:
        """Names of the clusters from the control plane that work."""
        return {each["cluster"]["name"] for each in self._dumped("dynamic_active_clusters") if "cluster" in each}

    def _dumped(self, part: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.ask(f"/config_dump?resource={part}")).get("configs", [])
        return found

    def has_settled(self, listener: str) -> bool:
        """Whether it works with this listener, and nothing waits for anything."""
        assert self.program is not None
        if self.program.exit_code is not None:
            raise RuntimeError(f"Envoy of {self.name} ended with {self.program.exit_code}: {self.program.text()}")
        return f"{listener}::" in self.ask("/listeners") and not self._counted(_WARMING)

    def refused(self) -> list[str]:
        """What it did not take since it started, in Envoy's words where it has some."""
        counted = [f"{name}: {value}" for name, value in self._counted(_REFUSALS).items()]
        return counted + [each[:2000] for each in _SAID.findall(self.program.text() if self.program else "")]

    def _counted(self, names: str) -> dict[str, int]:
        lines = self.ask(f"/stats?filter={names}").splitlines()
        found = {name: int(value) for name, _, value in (each.rpartition(": ") for each in lines)}
        return {name: value for name, value in found.items() if value}

    def end(self) -> None:
        """Ends it at once and removes its folder."""
        if self.program is not None:
            self.program.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
