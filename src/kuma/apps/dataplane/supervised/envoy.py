"""Envoy as the agent sees it: an executable, a version, a command line, and an admin API on a Unix socket."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.wire import http_client

PINNED = (1, 38)
"""Releases of Envoy this agent is made for: 1.38.x."""

_ADMIN_SECONDS = 2.0
_NO_CONFIG = "the control plane sent something that is no Envoy configuration: "
_VERSION = re.compile(r"version:\s*(\S+)")
_PACKAGED = Path("envoy") / "_bin" / "envoy"


@dataclass(frozen=True, slots=True)
class EnvoyVersion:
    """`number` is `1.38.2`, `build` what `envoy --version` prints: revision, number, status, type and TLS library."""

    number: str
    build: str

    @property
    def is_compatible(self) -> bool:
        """Whether it belongs to the release series this agent is made for."""
        return tuple(self.number.split(".")[:2]) == tuple(map(str, PINNED))


def find_envoy(name: str) -> str:
    """The path of the executable: as given, from PATH, the working directory, beside us, or the Python package.

    The package installs a script of the same name, which would only stand between us and Envoy; it is passed over.
    """
    if os.sep in name:
        if os.access(name, os.X_OK):
            return name
        raise AgentError(f"could not find executable binary {name}")
    found = [shutil.which(name), os.path.join(os.getcwd(), name), os.path.join(os.path.dirname(sys.argv[0]), name)]
    usable = [each for each in found if each and os.access(each, os.X_OK) and os.path.isfile(each)]
    real = [each for each in usable if not _is_python_script(each)]
    if real:
        return real[0]
    packaged = [str(Path(entry) / _PACKAGED) for entry in sys.path] if name == "envoy" else []
    for each in packaged + usable:
        if os.access(each, os.X_OK):
            return each
    raise AgentError(f"could not find executable binary {name} in PATH, in the working directory or beside kuma-dp")


def _is_python_script(path: str) -> bool:
    with open(path, "rb") as file:
        first = file.readline(256)
    return first.startswith(b"#!") and b"python" in first


def read_version(binary: str) -> EnvoyVersion:
    """What `envoy --version` says; AgentError where that is not Envoy."""
    try:
        said = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise AgentError(f"could not read the version of {binary}: {error}") from error
    found = _VERSION.search(said)
    parts = found.group(1).split("/") if found else []
    if len(parts) != 5:
        raise AgentError(f"could not read the version of {binary}: it says {said.strip()[:200]!r}")
    return EnvoyVersion(parts[1], "/".join(parts))


def arguments(
    binary: str, config: str, drain_seconds: int, log_level: str, component_log_level: str, concurrency: int
) -> list[str]:
    """Envoy's command line. One agent, one Envoy: nothing to hand over, so no hot restart."""
    out = [binary, "--config-path", config, "--drain-time-s", str(drain_seconds), "--drain-strategy", "immediate"]
    out += ["--disable-hot-restart", "--log-level", log_level]
    if component_log_level:
        out += ["--component-log-level", component_log_level]
    if concurrency:
        out += ["--concurrency", str(concurrency)]
    elif sys.platform.startswith("linux"):
        out.append("--cpuset-threads")
    return out


@dataclass(frozen=True, slots=True)
class Admin:
    """Envoy's admin API, on a Unix socket or at a TCP address; with neither it is switched off.

    Every call raises OSError where Envoy does not answer.
    """

    socket: str = ""
    address: str = ""

    @property
    def is_enabled(self) -> bool:
        """Whether Envoy offers it."""
        return bool(self.socket or self.address)

    async def ready(self) -> http_client.Answer:
        """`/ready`: 200 once listeners and clusters came from the control plane."""
        return await self._send("GET", "/ready")

    async def fail_health_checks(self) -> None:
        """Makes health checks of this proxy fail, so that load balancers look elsewhere."""
        await self._send("POST", "/healthcheck/fail")

    async def drain_inbounds(self) -> None:
        """Stops taking connections from peers, gracefully; Envoy keeps running."""
        await self._send("POST", "/drain_listeners?inboundonly&graceful&skip_exit")

    async def stats(self, query: str, timeout: float) -> http_client.Answer:
        """`/stats`: all metrics, as the query (`format=prometheus&usedonly=`) wants them, in `timeout` seconds."""
        return await self._send("GET", f"/stats?{query}", timeout)

    async def _send(self, method: str, path: str, timeout: float = _ADMIN_SECONDS) -> http_client.Answer:
        if not self.is_enabled:
            raise ConnectionRefusedError("Envoy's admin API is switched off")
        url = f"http://{self.address or 'localhost'}{path}"
        return await http_client.send_request(method, url, unix_socket=self.socket, timeout=timeout)


def read_config(bootstrap: bytes) -> dict[str, Any]:
    """The configuration in a text (YAML); AgentError where there is none."""
    import yaml

    try:
        document = yaml.load(bootstrap, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise AgentError(f"{_NO_CONFIG}{error}") from error
    if not isinstance(document, dict):
        raise AgentError(f"{_NO_CONFIG}it is no object")
    return document


def retry_soon(config: dict[str, Any]) -> None:
    """Makes Envoy look for a lost control plane every 5 s at least, where it says nothing else; its default is 30 s."""
    for part in ("adsConfig", "cdsConfig", "ldsConfig"):
        services = (config.get("dynamicResources") or {}).get(part, {}).get("grpcServices") or ()
        for each in services:
            if "envoyGrpc" in each:
                back_off = {"baseInterval": "0.5s", "maxInterval": "5s"}
                each["envoyGrpc"].setdefault("retryPolicy", {"retryBackOff": back_off})


def admin_of(config: Mapping[str, Any]) -> Admin:
    """Where the configuration puts the admin API; AgentError where that cannot be told."""
    try:
        address = (config.get("admin") or {}).get("address") or {}
        if "pipe" in address:
            return Admin(socket=address["pipe"]["path"])
        if "socketAddress" in address:
            at = address["socketAddress"]
            host = f"[{at['address']}]" if ":" in at["address"] else at["address"]
            return Admin(address=f"{host}:{at['portValue']}")
    except (AttributeError, KeyError, TypeError) as error:
        raise AgentError(f"{_NO_CONFIG}{error}") from error
    return Admin()
