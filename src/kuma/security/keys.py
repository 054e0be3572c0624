"""Private keys and their PEM text: what certificates are made for and tokens are signed with.

Formats follow what Kuma stores: RSA as PKCS#1, elliptic curve keys as SEC 1. Reading also takes PKCS#8 and, for
signing keys that other tools wrote, PKCS#1 as bare DER.
"""

from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

SIGNING_KEY_BITS = 2048
"""RSA size of token signing keys (RS256)."""

_CURVE = ec.SECP256R1()
_PEM = serialization.Encoding.PEM
_TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL
_PLAIN = serialization.NoEncryption()


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate (with the chain that peers need, if any) and its private key, both PEM. The key is never printed."""

    cert_pem: bytes
    key_pem: bytes = field(repr=False)


def new_ecdsa() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key: about 20 microseconds, so one for every certificate."""
    return ec.generate_private_key(_CURVE)


def new_rsa(bits: int = SIGNING_KEY_BITS) -> rsa.RSAPrivateKey:
    """A fresh RSA key. Takes 0.1 s and more and releases the GIL: call it in a thread where others wait.

    Raises ValueError for a size that the library refuses (below 1024 bits).
    """
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def to_pem(key: PrivateKey) -> bytes:
    """`RSA PRIVATE KEY` (PKCS#1) or `EC PRIVATE KEY` (SEC 1)."""
    return key.private_bytes(_PEM, _TRADITIONAL, _PLAIN)


def public_pem(key: rsa.RSAPublicKey) -> bytes:
    """`RSA PUBLIC KEY` (PKCS#1), the form of `kumactl generate public-key` and of offline validation keys."""
    return key.public_bytes(_PEM, serialization.PublicFormat.PKCS1)


def load(pem: bytes) -> PrivateKey:
    """The private key in a PEM text; ValueError, without any of the text, where there is none that TLS can use."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("no usable private key in the PEM text") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("private keys must be RSA or ECDSA")
    return key


def load_signing(stored: bytes) -> rsa.RSAPrivateKey:
    """The RSA key of a stored signing key, PEM or DER; ValueError otherwise."""
    try:
        if stored.lstrip().startswith(b"-----"):
            key = serialization.load_pem_private_key(stored, password=None)
        else:
            key = serialization.load_der_private_key(stored, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("not an RSA private key in PEM or DER") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("signing keys must be RSA")
    return key


def load_public(stored: bytes) -> rsa.RSAPublicKey:
    """The RSA public key of a text, PKCS#1 or SubjectPublicKeyInfo, PEM or DER; ValueError otherwise."""
    try:
        if stored.lstrip().startswith(b"-----"):
            key = serialization.load_pem_public_key(stored)
        else:
            key = serialization.load_der_public_key(stored)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("not an RSA public key in PEM or DER") from None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("token validation keys must be RSA")
    return key
