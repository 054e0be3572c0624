"""Tells the application which certificate a client has shown, as the ASGI TLS extension.

Only what the TLS layer has verified gets this far: a client whose certificate does not hold fails in the handshake.
Source: asgi.readthedocs.io, "TLS Extension"; the chain holds the client's own certificate alone.
"""

import asyncio
import ssl
from typing import Any


def extensions_of(transport: asyncio.Transport) -> dict[str, Any]:
    """The `extensions` of a scope; empty where clients are not asked for certificates."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None or tls.context.verify_mode is ssl.CERT_NONE:
        return {}
    shown = tls.getpeercert(binary_form=True)
    return {"tls": {"client_cert_chain": [ssl.DER_cert_to_PEM_cert(shown)] if shown else []}}
