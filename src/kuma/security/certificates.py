"""Leaf certificates: of proxies in a mesh, of Envoy's admin listener, and self-signed ones for servers and users.

Every key made here is ECDSA P-256 (an RSA key would cost 0.1 s for each of a thousand proxies), unless a user asks
`kumactl generate tls-certificate` for RSA. Times come in as arguments; keys and serial numbers are random, except on
admin listeners, see `admin_server`.
"""

import contextlib
import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509 import oid

from kuma.base import labels
from kuma.security import authorities, keys

WORKLOAD_LIFETIME = timedelta(hours=24)
SELF_SIGNED_LIFETIME = timedelta(days=3650)

ADMIN_CLIENT = "kuma-cp"
"""DNS name in the certificate that the control plane shows to Envoy admin listeners."""

_PEM = serialization.Encoding.PEM
_NO_CA = x509.BasicConstraints(ca=False, path_length=None)
_IS_CA = x509.BasicConstraints(ca=True, path_length=None)
_SERVER = x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH])
_CLIENT = x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.CLIENT_AUTH])
_BOTH = x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH, oid.ExtendedKeyUsageOID.CLIENT_AUTH])
_WORKLOAD_USAGE = authorities.key_usage(signature=True, encipherment=True, agreement=True)
_ADMIN_USAGE = authorities.key_usage(signature=True, encipherment=True)
_SELF_SIGNED_USAGE = authorities.key_usage(signature=True, encipherment=True, cert_sign=True)
_EMPTY = x509.Name([])

# The order of the group of P-256 (SEC 2, 2.4.2): private keys are numbers from 1 to one below it.
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def workload_uris(mesh: str, tags: Mapping[str, Iterable[str]]) -> list[str]:
    """The names of a proxy: `spiffe://<mesh>/<service>` for each service, then `kuma://<tag>/<value>`, all sorted."""
    services = sorted(set(tags.get(labels.SERVICE_TAG, ())))
    uris = [f"spiffe://{mesh}/{service}" for service in services]
    uris += [f"kuma://{tag}/{value}" for tag in sorted(tags) for value in sorted(set(tags[tag]))]
    return uris


def workload(
    authority: authorities.Authority, uris: Sequence[str], now: datetime, lifetime: timedelta = WORKLOAD_LIFETIME
) -> keys.KeyPair:
    """A proxy's certificate, for both ends of mTLS, valid from 10 s ago until `now + lifetime`.

    The subject is empty, so the URI SANs are critical (RFC 5280, 4.2.1.6). ValueError for a URI that is not ASCII.
    """
    key = keys.new_ecdsa()
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(each) for each in uris])
    certificate = (
        _leaf(authority, key.public_key(), names, now - authorities.BACKDATE, now + lifetime)
        .serial_number(authorities.random_serial())
        .add_extension(_WORKLOAD_USAGE, critical=True)
        .add_extension(_BOTH, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return keys.KeyPair(certificate.public_bytes(_PEM) + authority.intermediates_pem, keys.to_pem(key))


def admin_client(authority: authorities.Authority, now: datetime) -> keys.KeyPair:
    """What the control plane shows to Envoy admin listeners: SAN DNS `kuma-cp`."""
    key = keys.new_ecdsa()
    names = x509.SubjectAlternativeName([x509.DNSName(ADMIN_CLIENT)])
    until = now + SELF_SIGNED_LIFETIME
    certificate = (
        _leaf(authority, key.public_key(), names, now - authorities.ADMIN_BACKDATE, until)
        .serial_number(authorities.random_serial())
        .add_extension(_ADMIN_USAGE, critical=True)
        .add_extension(_CLIENT, critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return keys.KeyPair(certificate.public_bytes(_PEM), keys.to_pem(key))


def admin_server(authority: authorities.Authority, proxy: str, addresses: Sequence[str]) -> keys.KeyPair:
    """The server certificate of one proxy's admin listener; equal arguments give equal bytes.

    It is inlined in the listener, so a certificate that differed after a restart of the control plane, or between two
    of them, would make every Envoy drain that listener. Hence the key is derived from the CA's key, the name of the
    proxy and its addresses (HKDF, RFC 5869, to 128 bits more than the group order as FIPS 186-5 A.2.1 wants), the
    signature is deterministic (RFC 6979) and the validity is the CA's.
    """
    key = _derived_key(authority, "\0".join([proxy, *addresses]))
    public = key.public_key()
    names = x509.SubjectAlternativeName([host_name(each) for each in dict.fromkeys(addresses)])
    issuer = authority.certificate
    serial = hashlib.sha256(public.public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)).digest()
    builder = (
        _leaf(authority, public, names, issuer.not_valid_before_utc, issuer.not_valid_after_utc)
        .serial_number(int.from_bytes(serial[:16], "big") | 1)
        .add_extension(_ADMIN_USAGE, critical=True)
        .add_extension(_SERVER, critical=False)
    )
    if isinstance(authority.key, ec.EllipticCurvePrivateKey):
        certificate = builder.sign(authority.key, hashes.SHA256(), ecdsa_deterministic=True)
    else:
        certificate = builder.sign(authority.key, hashes.SHA256())
    return keys.KeyPair(certificate.public_bytes(_PEM), keys.to_pem(key))


def _derived_key(authority: authorities.Authority, purpose: str) -> ec.EllipticCurvePrivateKey:
    secret = authority.key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    info = b"envoy admin server\0" + purpose.encode()
    stream = HKDF(algorithm=hashes.SHA256(), length=48, salt=None, info=info).derive(secret)
    number = int.from_bytes(stream, "big") % (_P256_ORDER - 1) + 1
    return ec.derive_private_key(number, ec.SECP256R1())


def _leaf(
    authority: authorities.Authority,
    public_key: ec.EllipticCurvePublicKey,
    names: x509.SubjectAlternativeName,
    not_before: datetime,
    not_after: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_EMPTY)
        .issuer_name(authority.subject)
        .public_key(public_key)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(_NO_CA, critical=True)
        .add_extension(names, critical=True)
        .add_extension(authority.key_identifier, critical=False)
    )


def self_signed(hosts: Sequence[str], now: datetime, *, client: bool = False, rsa: bool = False) -> keys.KeyPair:
    """A certificate that is its own CA, for `hosts` (names and IP addresses), valid ten years.

    Serves the control plane's ports when no certificate is configured, and `kumactl generate tls-certificate`.
    Unlike Kuma's its subject is not empty: OpenSSL's strict checks, the default of Python 3.13, refuse such a CA.
    """
    key: keys.PrivateKey = keys.new_rsa() if rsa else keys.new_ecdsa()
    subject = x509.Name(
        [
            x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, "Kuma"),
            x509.NameAttribute(oid.NameOID.COMMON_NAME, hosts[0][:64]),
        ]
    )
    names = x509.SubjectAlternativeName([host_name(each) for each in dict.fromkeys(hosts)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(authorities.random_serial())
        .not_valid_before(now - authorities.ADMIN_BACKDATE)
        .not_valid_after(now + SELF_SIGNED_LIFETIME)
        .add_extension(_IS_CA, critical=True)
        .add_extension(_SELF_SIGNED_USAGE, critical=True)
        .add_extension(_CLIENT if client else _SERVER, critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return keys.KeyPair(certificate.public_bytes(_PEM), keys.to_pem(key))


def host_name(host: str) -> x509.GeneralName:
    """An IP SAN for an IP address, a DNS SAN for anything else; ValueError where it is not ASCII."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def hosts_of(cert_pem: bytes) -> list[str]:
    """The SANs of the first certificate: IP addresses, then DNS names. ValueError where it does not parse."""
    certificate = x509.load_pem_x509_certificates(cert_pem)[0]
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(each) for each in names.get_values_for_type(x509.IPAddress)]
    return addresses + names.get_values_for_type(x509.DNSName)


def covers(cert_pem: bytes, host: str) -> bool:
    """Whether a client that dials `host` would accept the certificate's names (RFC 6125: `*` is one left label)."""
    wanted = host.strip("[]").rstrip(".").lower()
    with contextlib.suppress(ValueError):  # a DNS name is compared as it is
        wanted = str(ipaddress.ip_address(wanted))
    _, _, parent = wanted.partition(".")
    known = {each.lower() for each in hosts_of(cert_pem)}
    return wanted in known or bool(parent and f"*.{parent}" in known)


def is_ca(cert_pem: bytes) -> bool:
    """False only when basic constraints are there and deny it, as the bootstrap check of a CA reads them.

    ValueError where the text holds no certificate.
    """
    certificate = x509.load_pem_x509_certificates(cert_pem)[0]
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return True
