"""The certificate of the control plane's own ports where none is configured: made once, kept in the work directory.

Agents pin it (`--ca-cert-file`), so a usable pair is never replaced, even when the machine's addresses have changed.
"""

import contextlib
import os
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from kuma.base import errors
from kuma.security import authorities, certificates, keys

CERT_NAME = "kuma-cp.crt"
KEY_NAME = "kuma-cp.key"

_LOCAL_V4 = re.compile(r"\|-- ([0-9.]+)\n\s+/32 host LOCAL")


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """Where a certificate and its key lie."""

    cert: Path
    key: Path


def ensure(work_dir: Path, now: datetime, extra_hosts: Sequence[str] = ()) -> ServerFiles:
    """The pair in `work_dir`, made where it is absent or expired; the key is readable by its owner alone.

    A new one is for this host's name, `localhost`, `extra_hosts` (what the configuration tells agents to dial) and
    every address of the machine. Raises BadRequest where the files that are there are damaged or do not belong
    together: replacing them silently would lock out agents that pinned the certificate.
    """
    files = ServerFiles(work_dir / CERT_NAME, work_dir / KEY_NAME)
    if files.cert.exists() and files.key.exists() and not _is_expired(files, now):
        return files
    pair = certificates.self_signed([*local_hosts(), *extra_hosts], now)
    work_dir.mkdir(parents=True, exist_ok=True)
    write_private(files.key, pair.key_pem)
    _replace(files.cert, pair.cert_pem, 0o644)
    return files


def _is_expired(files: ServerFiles, now: datetime) -> bool:
    cert_pem = files.cert.read_bytes()
    try:
        authorities.load(cert_pem, files.key.read_bytes())
    except ValueError as failure:
        raise errors.BadRequest(
            f"{files.cert} and {files.key} are not a usable certificate and key ({failure}); "
            "remove both to have new ones made"
        ) from None
    return x509.load_pem_x509_certificates(cert_pem)[0].not_valid_after_utc <= now


def load_pair(cert: Path, key: Path) -> keys.KeyPair:
    """A configured certificate and key; BadRequest, naming the files, where they are unreadable or do not match."""
    try:
        pair = keys.KeyPair(cert.read_bytes(), key.read_bytes())
        authorities.load(pair.cert_pem, pair.key_pem)
    except OSError as failure:
        raise errors.BadRequest(f"could not read {failure.filename}: {failure.strerror}") from None
    except ValueError as failure:
        raise errors.BadRequest(f"{cert} and {key} are not a usable certificate and key: {failure}") from None
    return pair


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that holds a secret: mode 0600 from its first moment, and whole or not at all."""
    _replace(path, content, 0o600)


def _replace(path: Path, content: bytes, mode: int) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):  # left by a process of this id that was killed while writing
        draft.unlink()
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def local_hosts() -> list[str]:
    """This host's name, `localhost`, then every address of the machine, IPv4 first."""
    return list(dict.fromkeys([socket.gethostname(), "localhost", *local_addresses()]))


def local_addresses() -> list[str]:
    """Every address of the machine. Beyond Linux, which lists them in /proc, those that its own name resolves to."""
    found: list[str] = []
    with contextlib.suppress(OSError):  # no /proc
        found += _LOCAL_V4.findall(Path("/proc/net/fib_trie").read_text())
    with contextlib.suppress(OSError):  # no /proc, or IPv6 is off
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            found.append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])))
    if not found:
        with contextlib.suppress(OSError):  # a host whose name does not resolve
            found += [str(each[4][0]).partition("%")[0] for each in socket.getaddrinfo(socket.gethostname(), None)]
        found.append("127.0.0.1")
    return list(dict.fromkeys(found))
