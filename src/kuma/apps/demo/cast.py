"""The programs of the demo and how each is started: the control plane, and three services behind their sidecars."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kuma.apps.demo.settings import Settings

ADDRESSES = {"web": "127.0.0.2", "api": "127.0.0.3", "counter": "127.0.0.4"}
"""Each proxy has an address of its own, so that equal ports of different proxies do not meet."""

TOKEN_LIFETIME = "24h"


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its own port, and the local ports on which its sidecar offers the services it calls."""

    name: str
    port: int
    outbounds: Mapping[str, int]


def services(page_port: int, free: list[int]) -> list[Service]:
    """The three services, from the last to the first; takes four ports of `free`."""
    api, counter, to_api, to_counter = free[:4]
    return [
        Service("counter", counter, {}),
        Service("api", api, {"counter": to_counter}),
        Service("web", page_port, {"api": to_api}),
    ]


def base_environment() -> dict[str, str]:
    """Our environment without settings meant for other control planes and agents."""
    return {key: value for key, value in os.environ.items() if not key.startswith("KUMA_")} | {"PYTHONUNBUFFERED": "1"}


def control_plane_environment(settings: Settings) -> dict[str, str]:
    """The control plane's settings: the chosen ports, everything it keeps in the state folder."""
    state = settings.state_dir.resolve()
    return base_environment() | {
        "KUMA_GENERAL_WORK_DIR": str(state),
        "KUMA_STORE_TYPE": "sqlite",
        "KUMA_STORE_SQLITE_PATH": str(state / "kuma.db"),
        "KUMA_API_SERVER_HTTP_INTERFACE": "127.0.0.1",
        "KUMA_API_SERVER_HTTPS_INTERFACE": "127.0.0.1",
        "KUMA_API_SERVER_HTTP_PORT": str(settings.api_port),
        "KUMA_API_SERVER_HTTPS_PORT": str(settings.api_https_port),
        "KUMA_DP_SERVER_PORT": str(settings.dp_port),
        "KUMA_DIAGNOSTICS_SERVER_PORT": str(settings.diagnostics_port),
    }


def service_environment(service: Service, settings: Settings) -> dict[str, str]:
    """What a service is told."""
    extra = {
        "DEMO_PORT": str(service.port),
        "DEMO_ADDRESS": ADDRESSES[service.name],
        "DEMO_COUNTER_FILE": str(settings.state_dir.resolve() / "counter"),
    }
    return (
        base_environment()
        | extra
        | {f"DEMO_{name.upper()}_PORT": str(port) for name, port in service.outbounds.items()}
    )


def control_plane_command() -> list[str]:
    """The command line of the control plane."""
    return [*_program("kuma-cp", "kuma.apps.control_plane.main"), "run"]


def sidecar_command(service: Service, settings: Settings, token_file: Path) -> list[str]:
    """The one line that enrols a service: the agent starts its Envoy, then the service itself."""
    command = [
        *_program("kuma-dp", "kuma.apps.dataplane.main"),
        "run",
        "--name", service.name,
        "--service", service.name,
        "--port", str(service.port),
        "--protocol", "http",
        "--address", ADDRESSES[service.name],
        "--cp-address", f"https://127.0.0.1:{settings.dp_port}",
        "--ca-cert-file", str(settings.state_dir.resolve() / "kuma-cp.crt"),
        "--dataplane-token-file", str(token_file.resolve()),
        "--concurrency", "1",
        "--drain-time", "200ms",
    ]  # fmt: skip
    for name, port in service.outbounds.items():
        command += ["--outbound", f"{name}={port}"]
    return [*command, "--", sys.executable, "-m", f"kuma.apps.demo.{service.name}"]


def _program(script: str, module: str) -> list[str]:
    """How to start one of our programs: its console script beside this Python, else its module."""
    beside = Path(sys.executable).with_name(script)
    return [str(beside)] if beside.exists() else [sys.executable, "-m", module]
