"""Certificate authorities: making roots, reading and checking given ones, and holding one ready to sign.

An `Authority` is parsed once and then signs every leaf of `certificates.py`. Root facts follow Kuma's builtin CA
except for two: keys are ECDSA P-256 unless a size in RSA bits is asked for, and serial numbers are random, because
RFC 5280 (4.1.2.2) wants them positive and libraries refuse the 0 that Kuma writes.
"""

import contextlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import exceptions, x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import oid

from kuma.base import errors
from kuma.security import keys

BACKDATE = timedelta(seconds=10)
"""Mesh certificates are valid a little before they are made, for peers whose clocks are behind."""

ADMIN_BACKDATE = timedelta(minutes=5)
"""The same for certificates of the control plane's own traffic."""

ROOT_LIFETIME = timedelta(days=3650)

ENVOY_ADMIN_CA = "Envoy Admin CA"
INTER_CP_CA = "Control Plane Intercommunication CA"

_NOT_CA = "basic constraint 'CA' must be set to 'true' (see X509-SVID: 4.1. Basic Constraints)"
_NO_CERT_SIGN = "key usage extension 'keyCertSign' must be set (see X509-SVID: 4.3. Key Usage)"
_KEY_AGREEMENT = "key usage extension 'keyAgreement' must NOT be set (see X509-SVID: Appendix A. X.509 Field Reference)"


@dataclass(frozen=True, slots=True, eq=False)
class Authority:
    """A CA ready to sign. Two of them are equal only when they are the same object.

    `bundle_pem` is what peers trust: the whole chain as given. `intermediates_pem` is sent after each leaf, because a
    peer may know the root only; it is empty for a self-signed root. `subject` and `key_identifier` are the
    certificate's, taken out once because parsing them costs as much as a signature.
    """

    certificate: x509.Certificate
    key: keys.PrivateKey = field(repr=False)
    subject: x509.Name
    key_identifier: x509.AuthorityKeyIdentifier
    bundle_pem: bytes
    intermediates_pem: bytes


def random_serial() -> int:
    """128 random bits, never 0."""
    return secrets.randbits(128) | 1


def key_usage(
    *,
    signature: bool = False,
    encipherment: bool = False,
    agreement: bool = False,
    cert_sign: bool = False,
    crl_sign: bool = False,
) -> x509.KeyUsage:
    """A KeyUsage extension with the named bits set and all others off."""
    return x509.KeyUsage(
        digital_signature=signature,
        content_commitment=False,
        key_encipherment=encipherment,
        data_encipherment=False,
        key_agreement=agreement,
        key_cert_sign=cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def new_mesh_root(mesh: str, now: datetime, rsa_bits: int = 0, lifetime: timedelta = ROOT_LIFETIME) -> keys.KeyPair:
    """The root of a builtin backend: subject O=Kuma, OU=Mesh, CN=<mesh>, URI SAN `spiffe://<mesh>`, no EKU.

    With `rsa_bits` the key is RSA of that size (slow: call it in a thread), else ECDSA P-256.
    """
    return _new_root(mesh, now - BACKDATE, now + lifetime, rsa_bits, f"spiffe://{mesh}")


def new_admin_root(now: datetime) -> keys.KeyPair:
    """The root that signs both ends of the control plane's connections to Envoy admin listeners."""
    return _new_root(ENVOY_ADMIN_CA, now - ADMIN_BACKDATE, now + ROOT_LIFETIME, 0, None)


def new_inter_cp_root(now: datetime) -> keys.KeyPair:
    """The root that signs the certificates by which control planes of one cluster know each other."""
    return _new_root(INTER_CP_CA, now - ADMIN_BACKDATE, now + ROOT_LIFETIME, 0, None)


def _new_root(
    common_name: str, not_before: datetime, not_after: datetime, rsa_bits: int, uri: str | None
) -> keys.KeyPair:
    key: keys.PrivateKey = keys.new_rsa(rsa_bits) if rsa_bits else keys.new_ecdsa()
    name = x509.Name(
        [
            x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, "Kuma"),
            x509.NameAttribute(oid.NameOID.ORGANIZATIONAL_UNIT_NAME, "Mesh"),
            # RFC 5280 bounds a common name by 64 characters; mesh names may be longer, the SAN has all of it.
            x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name[:64]),
        ]
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(random_serial())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(key_usage(cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if uri is not None:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return keys.KeyPair(certificate.public_bytes(serialization.Encoding.PEM), keys.to_pem(key))


def load(cert_pem: bytes, key_pem: bytes) -> Authority:
    """The CA of a PEM chain (the signing certificate first) and its key.

    ValueError, in words that a user can act on and without any of the texts, where the two do not belong together
    or do not parse. Whether the certificates may act as a CA is `check`'s question.
    """
    chain = _parse_chain(cert_pem)
    try:
        key = keys.load(key_pem)
    except ValueError:
        raise ValueError("tls: failed to find any PEM data in key input or failed to parse private key") from None
    if key.public_key() != chain[0].public_key():
        raise ValueError("tls: private key does not match public key")
    encoding = serialization.Encoding.PEM
    bundle = b"".join(each.public_bytes(encoding) for each in chain)
    between = b"".join(each.public_bytes(encoding) for each in chain if each.issuer != each.subject)
    return Authority(chain[0], key, chain[0].subject, _key_identifier(chain[0], key), bundle, between)


def _key_identifier(issuer: x509.Certificate, key: keys.PrivateKey) -> x509.AuthorityKeyIdentifier:
    """What leaves say about the key that signed them (RFC 5280, 4.2.1.1)."""
    try:
        own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except (x509.ExtensionNotFound, ValueError):
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether a certificate vouches for itself."""
    return _is_issued(certificate, certificate)


def is_vouched_for(authority: Authority, roots: Iterable[str]) -> bool:
    """Whether somebody who trusts these PEM texts trusts what an authority signs. A text that cannot be read is none."""
    trusted: list[x509.Certificate] = []
    for text in roots:
        with contextlib.suppress(ValueError):
            trusted.extend(_parse_chain(text.encode()))
    chain = _parse_chain(authority.bundle_pem)
    return any(each == root or _is_issued(each, root) for each in chain for root in trusted)


def _is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, exceptions.InvalidSignature):
        return False
    return True


def _parse_chain(cert_pem: bytes) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(cert_pem)
    except ValueError:
        raise ValueError("tls: failed to find any PEM data in certificate input or failed to parse it") from None


def check(cert_pem: bytes, key_pem: bytes, path: str) -> list[errors.Violation]:
    """What keeps a provided chain and key from being a mesh CA; `path` is the field of the certificate.

    Rules: SPIFFE X509-SVID 4.1, 4.3 and appendix A, on every certificate of the chain.
    """
    try:
        load(cert_pem, key_pem)
    except ValueError as failure:
        return [errors.Violation(path, f"not a valid TLS key pair: {failure}")]
    found: list[errors.Violation] = []
    for certificate in _parse_chain(cert_pem):
        found.extend(errors.Violation(path, message) for message in _broken_rules(certificate))
    return found


def _broken_rules(certificate: x509.Certificate) -> list[str]:
    try:
        extensions = certificate.extensions
    except ValueError:
        return ["not a valid TLS key pair: x509: malformed extensions"]
    messages: list[str] = []
    try:
        is_ca = extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_ca = False
    if not is_ca:
        messages.append(_NOT_CA)
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return [*messages, _NO_CERT_SIGN]
    if not usage.key_cert_sign:
        messages.append(_NO_CERT_SIGN)
    if usage.key_agreement:
        messages.append(_KEY_AGREEMENT)
    return messages
