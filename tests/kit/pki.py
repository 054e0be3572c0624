"""Certificates that do not come from a control plane: authorities of users, and clients that pretend."""

import base64
import contextlib
import datetime
import socket
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import oid

from tests.kit import planes

_DAY = datetime.timedelta(days=1)
_HALVES = ("cert", "key")


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (or a chain of them) and its key, PEM."""

    cert: bytes
    key: bytes


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def issue(
    uris: list[str], signer: Pair | None = None, *, ca: bool = False, name: str = "test", hosts: tuple[str, ...] = ()
) -> Pair:
    """A certificate with these URIs and hosts as SANs: signed by `signer`, or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, name)])
    issuer, signing = subject, key
    if signer is not None:
        issuer = x509.load_pem_x509_certificate(signer.cert).subject
        loaded = serialization.load_pem_private_key(signer.key, None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
        signing = loaded
    now = datetime.datetime.now(datetime.UTC)
    usage = x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)
    names = [*map(x509.UniformResourceIdentifier, uris), *map(x509.DNSName, hosts)]
    sans = x509.SubjectAlternativeName(names)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + _DAY)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(sans, critical=False)
        .sign(signing, hashes.SHA256())
    )
    return Pair(made.public_bytes(serialization.Encoding.PEM), _pem(key))


def builtin_ca(plane: planes.Plane, mesh: str, backend: str = "ca-1") -> Pair:
    """The authority of a builtin backend, as an admin may read it."""
    cert, key = (plane.get(f"/meshes/{mesh}/secrets/{mesh}.ca-builtin-{each}-{backend}")["data"] for each in _HALVES)
    return Pair(base64.b64decode(cert), base64.b64decode(key))


def _context(client: Pair | None) -> ssl.SSLContext:
    """Trusts anybody: what is tested is whether the other side trusts us."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if client is not None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(client.cert + client.key)
            file.flush()
            made.load_cert_chain(file.name)
    return made


@contextlib.contextmanager
def _connection(target: tuple[str, int], client: Pair | None, sni: str | None) -> Iterator[ssl.SSLSocket]:
    context = _context(client)
    with socket.create_connection(target, 10) as raw, context.wrap_socket(raw, server_hostname=sni) as secured:
        yield secured


def status_as(target: tuple[str, int], client: Pair | None, sni: str | None = None) -> int:
    """The HTTP status that an inbound answers to a client with this certificate; 0 where it refuses the client."""
    try:
        with _connection(target, client, sni) as secured:
            secured.sendall(b"GET / HTTP/1.1\r\nhost: echo\r\nconnection: close\r\n\r\n")
            head = b""
            while b"\r\n" not in head and (part := secured.recv(4096)):
                head += part
    except (ssl.SSLError, ConnectionError):
        return 0
    return int(head.split()[1]) if head else 0


def serial_of(target: tuple[str, int], sni: str | None = None) -> int:
    """The serial number of the certificate that an inbound shows; OSError where it shows none."""
    with _connection(target, None, sni) as secured:
        shown = secured.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown).serial_number
