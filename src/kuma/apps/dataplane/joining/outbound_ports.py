"""Keeps the ports of a Dataplane's outbounds for this proxy.

Envoy binds with SO_REUSEPORT, so without this a second proxy, or a forgotten first one, would silently take half of
the connections.
"""

import errno
import socket
from collections.abc import Mapping
from typing import Any

from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import host
from kuma.apps.dataplane.joining.definition import Definition

_DEFAULT_ADDRESS = "127.0.0.1"


def addresses_of(definition: Definition) -> tuple[tuple[str, int], ...]:
    """Where the proxy will listen for its own application; nothing where traffic is redirected into it."""
    networking = definition.document.get("networking")
    if not isinstance(networking, Mapping) or networking.get("transparentProxying"):
        return ()
    outbounds = networking.get("outbound")
    found = [_address_of(each) for each in outbounds] if isinstance(outbounds, list) else []
    return tuple(dict.fromkeys(each for each in found if each is not None))


def _address_of(outbound: Any) -> tuple[str, int] | None:
    # What is malformed is the control plane's to refuse: it names the field.
    if not isinstance(outbound, Mapping):
        return None
    address, port = outbound.get("address") or _DEFAULT_ADDRESS, outbound.get("port")
    return (address, port) if isinstance(address, str) and isinstance(port, int) and 0 < port < 65536 else None


def reserve_outbounds(definition: Definition, remedy: str) -> list[socket.socket]:
    """The sockets that keep the ports; AgentError, with the `remedy`, where somebody else has one.

    An address that is not this machine's is left to Envoy, which may be allowed to bind it.
    """
    keepers: list[socket.socket] = []
    for address, port in addresses_of(definition):
        try:
            keepers.append(host.reserve_port(address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                continue
            for each in keepers:
                each.close()
            raise AgentError(f"outbound port {port} on {address} is taken; {remedy}") from error
    return keepers
