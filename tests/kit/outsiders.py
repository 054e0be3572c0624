"""Servers that no mesh knows of, with TLS of their own or in plain text."""

import contextlib
import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the host that it was asked for."""

    def do_GET(self) -> None:
        raw = self.headers["host"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *args: object) -> None:
        """Says nothing."""


@contextlib.contextmanager
def server(certificate: Path | None, clients: Path | None = None) -> Iterator[int]:
    """The port of a server on 127.0.0.1, with TLS where there is a certificate; `clients` is who has to sign theirs."""
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients)
        made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield made.server_address[1]
    finally:
        made.shutdown()
        made.server_close()
        thread.join()
