"""What the agent finds out about the machine it runs on."""

import contextlib
import errno
import ipaddress
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path

SYSTEM_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions keep the bundle of public CAs, in the order they are tried."""

LOCAL_ADDRESS = "127.0.0.2"
"""Our address on a machine that holds the whole mesh.

Not 127.0.0.1: Envoy's admin interface calls that its own, and the control plane then leaves its listener out.
"""

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNLIMITED = 1 << 60


def find_system_ca(files: Iterable[str] = SYSTEM_CA_FILES) -> str:
    """The first bundle that exists; empty where there is none."""
    return next((each for each in files if os.path.isfile(each)), "")


def memory_limit(files: Iterable[str] = _CGROUP_LIMITS) -> int:
    """Bytes the control group may use, 0 where nothing limits it."""
    for each in files:
        with contextlib.suppress(OSError, ValueError):  # the other version of control groups, or "max"
            limit = int(Path(each).read_text())
            return limit if limit < _UNLIMITED else 0
    return 0


def has_ipv6() -> bool:
    """Whether a socket can be bound to the IPv6 loopback."""
    if not socket.has_ipv6:
        return False
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def host_label() -> str:
    """The machine's name as it may stand in the name of a resource."""
    return label_of(socket.gethostname().partition(".")[0]) or "localhost"


def label_of(text: str) -> str:
    """A text as it may stand in the name of a resource: lower case, and hyphens for what may not."""
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")


def address_facing(host: str, port: int) -> str:
    """The local address from which `host` is reached; on the same machine, `LOCAL_ADDRESS` where that can be bound.

    OSError where the name is unknown or there is no route. Nothing is sent.
    """
    family, kind, protocol, _, peer = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.connect(peer)
        own = str(probe.getsockname()[0])
    if not ipaddress.ip_address(own).is_loopback:
        return own
    try:
        reserve_port(LOCAL_ADDRESS, 0).close()
    except OSError:
        return "127.0.0.1"
    return LOCAL_ADDRESS


def is_loopback(host: str) -> bool:
    """Whether a name or address means this machine itself, without asking DNS."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def reserve_port(address: str, port: int) -> socket.socket:
    """A socket that keeps a port (0: any free one) for Envoy and from everybody else; OSError where it is taken.

    It is bound alone, so two agents never get the same port, and shares it only afterwards: Envoy binds its listeners
    with SO_REUSEPORT. It never listens, so it takes no connection. Connections that an earlier proxy left behind
    (TIME_WAIT) do not count as a taken port.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    keeper = socket.socket(family, socket.SOCK_STREAM)
    try:
        try:
            keeper.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            # Only in a second attempt: with this option from the start, two keepers would share a port.
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            keeper.bind((address, port))
            keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        keeper.close()
        raise
    return keeper


def reserve_first_free(address: str, first: int) -> socket.socket:
    """The lowest free port from `first` on, reserved; OSError where all are taken or the address is not ours."""
    for port in range(first, 65536):
        try:
            return reserve_port(address, port)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
    raise OSError(f"no free port on {address} from {first} on")


_TAKEN = frozenset({errno.EACCES, errno.EADDRINUSE})
