"""A proxy as a process: kuma-dp with its Envoy, on an address of its own."""

import http.client
import json
import shutil
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.kit import network, planes, processes


class Sidecar:
    """A proxy of a mesh, with the ports through which tests reach it and other services.

    `brings_itself`: the Dataplane comes along with the agent; else it must be in the control plane before `start`.
    """

    def __init__(
        self,
        plane: planes.Plane,
        mesh: str,
        name: str,
        *,
        inbounds: Mapping[str, tuple[int, str]] | None = None,
        outbounds: tuple[str, ...] = (),
        tags: Mapping[str, str] | None = None,
        brings_itself: bool = True,
        variables: Mapping[str, str] | None = None,
        **settings: str,
    ) -> None:
        """`inbounds`: port on 127.0.0.1 and protocol by service. `settings`: environment without `KUMA_`.

        `variables` are further ones.
        """
        self.plane = plane
        self.mesh = mesh
        self.name = name
        self.address = network.own_address()
        self.admin_port = network.free_port(self.address)
        self.folder = Path(tempfile.mkdtemp(prefix="kuma-e2e-"))
        self.inbound_port = {service: network.free_port(self.address) for service in inbounds or {}}
        self.outbound_port = {service: network.free_port(self.address) for service in outbounds}
        self.dataplane = self._dataplane(inbounds or {}, tags or {})
        self.brings_itself = brings_itself
        self.token = ""
        self._settings = {f"KUMA_{key}": value for key, value in settings.items()} | dict(variables or {})
        self.program: processes.Program | None = None

    def _dataplane(self, inbounds: Mapping[str, tuple[int, str]], tags: Mapping[str, str]) -> dict[str, Any]:
        networking: dict[str, Any] = {"address": self.address, "admin": {"port": self.admin_port}}
        networking["inbound"] = [
            {
                "port": self.inbound_port[service],
                "servicePort": port,
                "serviceAddress": "127.0.0.1",
                "tags": {"kuma.io/service": service, "kuma.io/protocol": protocol, **tags},
            }
            for service, (port, protocol) in inbounds.items()
        ]
        networking["outbound"] = [
            {"address": self.address, "port": port, "tags": {"kuma.io/service": service}}
            for service, port in self.outbound_port.items()
        ]
        return {"type": "Dataplane", "mesh": self.mesh, "name": self.name, "networking": networking}

    def launch(self) -> "Sidecar":
        """Starts the agent without waiting."""
        token_file = self.folder / "token"
        token_file.write_text(self.token or self._new_token())
        arguments = ["run", "--cp-address", f"https://127.0.0.1:{self.plane.dp_port}"]
        arguments += ["--ca-cert-file", str(self.plane.ca_file), "--dataplane-token-file", str(token_file)]
        arguments += ["--concurrency", "1", "--drain-time", "1s", "--work-dir", str(self.folder)]
        arguments += self._identity()
        own = {"KUMA_READINESS_PORT": str(network.free_port())}
        self.program = processes.Program("kuma-dp", arguments, own | self._settings, self.folder / f"{self.name}.log")
        return self

    def _new_token(self) -> str:
        return self.plane.token(self.mesh, self.name)

    def _identity(self) -> list[str]:
        """The flags that say who it is."""
        if self.brings_itself:
            return ["--dataplane", json.dumps(self.dataplane)]
        return ["--name", self.name, "--mesh", self.mesh]

    def is_online(self) -> bool:
        """Whether the control plane has a connection of it."""
        return self.plane.is_online(self.mesh, self.name)

    def start(self) -> "Sidecar":
        """Starts it and waits until Envoy has its configuration."""
        return self.launch().ready()

    def ready(self) -> "Sidecar":
        """Waits until Envoy has its configuration and the control plane knows that."""
        assert self.program is not None
        self.program.until_running(f"Envoy of {self.name} ready", lambda: self.admin("/ready")[0] == 200)
        self.program.until_running(f"{self.name} online", self.is_online)
        return self

    def admin(self, path: str, method: str = "GET") -> tuple[int, str]:
        """What Envoy's admin API answers on its Unix socket; OSError where it does not answer."""
        found = next(self.folder.glob("*admin*.sock"), None)
        if found is None:
            raise FileNotFoundError(f"no admin socket in {[each.name for each in self.folder.iterdir()]}")
        connection = _UnixConnection(str(found))
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except http.client.HTTPException as problem:
            raise ConnectionError(repr(problem)) from problem
        finally:
            connection.close()

    @property
    def output(self) -> str:
        """All that the agent and Envoy wrote."""
        assert self.program is not None
        return self.program.text()

    def until_told(self, text: str) -> None:
        """Waits until a text stands in the configuration that Envoy has."""
        network.until(f"{self.name} is told {text}", lambda: text in self.admin("/config_dump")[1])

    def stat(self, name: str) -> int:
        """One of Envoy's statistics, 0 where there is none."""
        for line in self.admin(f"/stats?filter=^{name}$")[1].splitlines():
            return int(line.rpartition(" ")[2])
        return 0

    def endpoints(self, service: str) -> set[str]:
        """Addresses with ports that Envoy has for a service."""
        lines = self.admin("/clusters")[1].splitlines()
        parts = [line.split("::") for line in lines if line.startswith(f"{service}::")]
        return {each[1] for each in parts if len(each) > 3 and ":" in each[1]}

    def url(self, service: str) -> tuple[str, int]:
        """Where the application behind this proxy dials a service."""
        return self.address, self.outbound_port[service]

    def inbound(self, service: str) -> tuple[str, int]:
        """Where peers dial a service of this proxy."""
        return self.address, self.inbound_port[service]

    def kill(self) -> None:
        """Ends the agent without warning; Envoy goes with it."""
        assert self.program is not None
        self.program.kill()

    def end(self) -> None:
        """Ends it in good order and removes its folder."""
        if self.program is not None:
            self.program.end()
        shutil.rmtree(self.folder, ignore_errors=True)


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Opens the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
