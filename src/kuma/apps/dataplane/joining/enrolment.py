"""One line makes a mesh member: `kuma-dp run --service web --port 8080 --outbound api=10001 -- ./web`.

The flags become the same Dataplane that a user would write to a file; ports that nobody chose are reserved, so that
many agents share a machine without knowing each other.
"""

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import host
from kuma.apps.dataplane.joining.definition import Definition
from kuma.base import labels

FIRST_INBOUND_PORT = 15100
LOCALHOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The Dataplane, and the sockets that keep its ports until the agent ends."""

    definition: Definition
    keepers: tuple[socket.socket, ...]


def enrol(settings: conf.Settings) -> Enrolment:
    """The Dataplane of `--service`; AgentError where a flag is missing or a port is taken."""
    if not settings.port:
        raise AgentError("--service needs --port, the port on 127.0.0.1 where it listens")
    if settings.resource or settings.resource_file:
        raise AgentError("--service and a Dataplane definition cannot be used together")
    if settings.proxy_type != "dataplane":
        raise AgentError("--service makes a Dataplane; it cannot be used with --proxy-type")
    address = settings.address or _own_address(settings.cp_address)
    inbound = _inbound_keeper(address, settings.inbound_port)
    admin = _reserved(address, 0)
    document: dict[str, Any] = {
        "type": "Dataplane",
        "mesh": settings.mesh or conf.DEFAULT_MESH,
        "name": settings.name or f"{host.label_of(settings.service)}-{host.host_label()}-{settings.port}",
        "networking": {
            "address": address,
            "admin": {"port": _port(admin)},
            "inbound": [
                {
                    "port": _port(inbound),
                    "servicePort": settings.port,
                    "serviceAddress": LOCALHOST,
                    "tags": _tags(settings),
                }
            ],
        },
    }
    if settings.labels:
        document["labels"] = dict(settings.labels)
    if settings.outbounds:
        document["networking"]["outbound"] = [_outbound(service, port) for service, port in settings.outbounds]
    return Enrolment(Definition(document), (inbound, admin))


def _tags(settings: conf.Settings) -> dict[str, str]:
    tags = {labels.SERVICE_TAG: settings.service, **dict(settings.tags)}
    if settings.protocol:
        tags[labels.PROTOCOL_TAG] = settings.protocol
    return tags


def _outbound(service: str, port: str) -> dict[str, Any]:
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise AgentError(f'invalid argument "{service}={port}" for "--outbound" flag: "{port}" is not a port')
    return {"address": LOCALHOST, "port": int(port), "tags": {labels.SERVICE_TAG: service}}


def _own_address(cp_address: str) -> str:
    target = urlsplit(cp_address)
    try:
        return host.address_facing(target.hostname or "", target.port or 5678)
    except OSError as error:
        raise AgentError(
            f"could not tell which address faces the control plane at {target.hostname}: {error}; say it with --address"
        ) from error


def _inbound_keeper(address: str, port: int) -> socket.socket:
    if port:
        return _reserved(address, port)
    try:
        return host.reserve_first_free(address, FIRST_INBOUND_PORT)
    except OSError as error:
        raise AgentError(f"could not listen on {address}: {error}") from error


def _reserved(address: str, port: int) -> socket.socket:
    try:
        return host.reserve_port(address, port)
    except OSError as error:
        raise AgentError(f"could not listen on {address}:{port}: {error}") from error


def _port(keeper: socket.socket) -> int:
    return int(keeper.getsockname()[1])
