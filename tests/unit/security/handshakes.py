"""Real TLS handshakes between certificates, in memory: two `ssl` objects and the bytes between them."""

import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from kuma.security import keys


def server_context(pair: keys.KeyPair, trusted: bytes | None = None) -> ssl.SSLContext:
    """Serves `pair`; with `trusted` it asks for a client certificate and trusts nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, pair)
    if trusted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _trust(context, trusted)
    return context


def client_context(trusted: bytes, pair: keys.KeyPair | None = None, check_host: bool = False) -> ssl.SSLContext:
    """Trusts `trusted` alone, by the strict rules that newer Pythons use by default."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = check_host
    _trust(context, trusted)
    if pair is not None:
        _load(context, pair)
    return context


def shake(client: ssl.SSLContext, server: ssl.SSLContext, host: str | None = None) -> ssl.SSLObject:
    """Shakes hands until both ends agree and returns the server's end; SSLError where one of them refuses."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(to_client, to_server, server_hostname=host)
    other = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        done = [_step(one.do_handshake), _step(other.do_handshake)]
        if all(done):
            return other
    raise AssertionError("the handshake does not end")


def _step(do_handshake: Callable[[], None]) -> bool:
    try:
        do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _trust(context: ssl.SSLContext, pem: bytes) -> None:
    context.load_verify_locations(cadata=pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT


def _load(context: ssl.SSLContext, pair: keys.KeyPair) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.pem"
        path.write_bytes(pair.cert_pem + pair.key_pem)
        context.load_cert_chain(path)
