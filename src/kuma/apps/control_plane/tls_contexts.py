"""TLS of the ports, from settings: certificate, versions, cipher suites, and whose client certificates are believed.

Names of versions and suites are those of Go's library, which Kuma's configuration uses. Below TLS 1.2 nothing is
spoken: OpenSSL's own defaults refuse it too.
"""

import ssl
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from kuma.apps.control_plane.settings import servers as settings_servers
from kuma.base import errors
from kuma.security import server_certificate

_VERSIONS = {"TLSv1_2": ssl.TLSVersion.TLSv1_2, "TLSv1_3": ssl.TLSVersion.TLSv1_3}
_OLD = ("TLSv1_0", "TLSv1_1")
_ENCRYPTIONS = {
    "AES_128_GCM_SHA256": "AES128-GCM-SHA256",
    "AES_256_GCM_SHA384": "AES256-GCM-SHA384",
    "AES_128_CBC_SHA": "AES128-SHA",
    "AES_256_CBC_SHA": "AES256-SHA",
    "AES_128_CBC_SHA256": "AES128-SHA256",
    "CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305",
    "3DES_EDE_CBC_SHA": "DES-CBC3-SHA",
    "RC4_128_SHA": "RC4-SHA",
}
_CERTIFICATES = ("*.pem", "*.crt")


Port = settings_servers.HttpsSettings | settings_servers.DpServerSettings
"""The settings of a port with TLS."""


def ensure_own_certificate(work_dir: Path, ports: Iterable[Port], now: datetime) -> None:
    """Makes the certificate in the work directory where one of the ports shows it and it is absent or expired."""
    own = work_dir / server_certificate.CERT_NAME
    if any(Path(each.tls_cert_file) == own for each in ports):
        server_certificate.ensure(work_dir, now)


def server_context(port: Port) -> ssl.SSLContext:
    """A context for a port; BadRequest where versions or suites leave nothing to speak.

    Suites of TLS 1.3 are not chosen, as in Go; naming only those leaves the older ones at their defaults.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS.get(port.tls_min_version, ssl.TLSVersion.TLSv1_2)
    maximum = port.tls_max_version
    if maximum:
        if maximum in _OLD or _VERSIONS[maximum] < context.minimum_version:
            least = context.minimum_version.name
            raise errors.BadRequest(f"tlsMaxVersion {maximum} leaves no TLS version: the least is {least}")
        context.maximum_version = _VERSIONS[maximum]
    chosen = [name for name in map(_openssl_name, port.tls_cipher_suites) if name]
    if chosen:
        try:
            context.set_ciphers(":".join(chosen))
        except ssl.SSLError:
            wanted = ", ".join(port.tls_cipher_suites)
            raise errors.BadRequest(f"tlsCipherSuites: none of {wanted} can be used here") from None
    context.load_cert_chain(port.tls_cert_file, port.tls_key_file)
    return context


def api_context(api: settings_servers.ApiServerSettings) -> ssl.SSLContext:
    """The context of the API's port, which may ask clients for certificates; BadRequest as its parts."""
    context = server_context(api.https)
    required = api.https.require_client_cert
    verify_clients(context, api.https.tls_ca_file, api.auth.client_certs_dir, required=required)
    return context


def verify_clients(context: ssl.SSLContext, authority: str, folder: str, *, required: bool) -> None:
    """Has clients asked for a certificate that one of the authorities signed: of a file, and of a folder's PEM files.

    A client may come without one unless it is `required`; one that shows a wrong one is refused either way. BadRequest
    where there is no authority to believe and yet certificates are required, or a file cannot be read.
    """
    files = [Path(authority)] if authority else []
    if folder:
        files += sorted(each for form in _CERTIFICATES for each in Path(folder).glob(form))
    for each in files:
        try:
            context.load_verify_locations(each)
        except (OSError, ssl.SSLError) as failure:
            raise errors.BadRequest(f"the certificates in {each} cannot be used: {failure}") from None
    if required and not files:
        raise errors.BadRequest("client certificates are required, but there is no CA to check them with (tlsCaFile)")
    if files:
        context.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL


def _openssl_name(suite: str) -> str:
    """OpenSSL's name of a suite such as `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`; empty for those of TLS 1.3."""
    exchange, separator, encryption = suite.removeprefix("TLS_").partition("_WITH_")
    if not separator:
        return ""
    prefix = "" if exchange == "RSA" else exchange.replace("_", "-") + "-"
    return prefix + _ENCRYPTIONS[encryption]
