"""The token with which the proxy proves who it is, and the CA by which it knows the control plane.

Tokens never appear in messages. Their signature is the control plane's business; here only their shape is checked,
so that a wrong file is noticed at start.
"""

import base64
import binascii
import json
import os
import ssl
from pathlib import Path

from kuma.apps.dataplane.failure import AgentError

_INVALID = (
    "dataplane token is invalid, in Kubernetes you must mount a serviceAccount token, in universal you must start "
    "your proxy with a generated token.: "
)


def read_token(path: str) -> str:
    """The token in a file; AgentError where there is none that could be one."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(f"{_INVALID}could not read file {path}: {error}") from error
    token = text.strip()
    if not token:
        raise AgentError(f"{_INVALID}token file {path} is empty")
    if len(token.splitlines()) != 1:
        raise AgentError(f"{_INVALID}token file {path} has more than one line")
    check_token(token)
    return token


def check_token(token: str) -> None:
    """AgentError where the text is not a JSON Web Token (RFC 7519)."""
    parts = token.split(".")
    if len(parts) != 3:
        raise AgentError(f"{_INVALID}not valid JWT token: it has {len(parts)} parts instead of 3")
    for part in parts[:2]:
        try:
            decoded = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error) as error:
            raise AgentError(f"{_INVALID}not valid JWT token: a part of it is not JSON in base64") from error
        if not isinstance(decoded, dict):
            raise AgentError(f"{_INVALID}not valid JWT token: a part of it is not an object")


def write_secret(path: str, text: str) -> str:
    """Writes a file that only its owner can read, from the first moment; its path."""
    Path(path).unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    return path


def read_ca(path: str) -> str:
    """The PEM text of a CA file; AgentError where it cannot be read."""
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise AgentError(f"could not read certificate file {path}: {error}") from error


def tls_context(ca: str, skip_verify: bool, source: str) -> ssl.SSLContext:
    """How to dial the control plane: TLS 1.2 or later, its certificate checked against `ca`, else the system's CAs.

    AgentError with the `source` of the CA, a file or variable, where it is none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca:
        try:
            context.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError) as error:
            raise AgentError(
                f"the CA of the control plane in {source} is not a certificate in PEM form: {error}"
            ) from error
    else:
        context.load_default_certs()
    return context
