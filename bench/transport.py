"""How fast and how small is the port? A thousand TLS connections, one gRPC stream each, against ours and grpc.aio.

    python -m bench.transport [--connections 1000] [--idle 10] [--servers ours,grpc.aio]

The server runs in a process of its own, pinned to the first core; the client is pinned to the last. Each server gets
the same work: every client opens one stream and is sent one large message of shared parts, then smaller ones are pushed
to all at once, a few rounds. Memory is the server's, per connection: open and configured, and after the pushes.
"""

import argparse
import asyncio
import datetime
import os
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench import figures
from kuma import transport
from kuma.transport import frames, headers

FIRST, PUSH = 217 * 1024, 110 * 1024
PART = 731
METHOD, CONTROL = "/bench.Port/Subscribe", "/bench.Port/Push"


def parts_of(size: int) -> list[bytes]:
    part = os.urandom(PART)
    return [part] * (size // PART) + [part[: size % PART]]


def certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    chain = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    (folder / "cert.pem").write_bytes(chain.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "key.pem").write_bytes(pem)
    return folder / "cert.pem", folder / "key.pem"


# --- servers: print their port, then serve until stdin closes ---------------------------------------------------------


class Feed:
    """What handlers wait for: the round that was pushed last."""

    def __init__(self) -> None:
        self.round = 0
        self.changed = asyncio.Event()

    def push(self) -> None:
        self.round += 1
        self.changed.set()
        self.changed = asyncio.Event()


async def until_stdin_closes() -> None:
    await asyncio.to_thread(sys.stdin.read)


async def serve_ours(cert: str, key: str) -> None:
    feed, first, push = Feed(), parts_of(FIRST), parts_of(PUSH)

    async def subscribe(stream: transport.GrpcStream) -> None:
        await stream.receive()
        seen = feed.round
        await stream.send(first)
        while True:
            while feed.round == seen:
                await feed.changed.wait()
            seen = feed.round
            await stream.send(push)

    async def control(stream: transport.GrpcStream) -> None:
        while await stream.receive() is not None:
            feed.push()

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        raise NotImplementedError

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server = transport.Server(
        asgi_app=app,
        grpc={METHOD: subscribe, CONTROL: control},
        ssl_context=context,
        limits=transport.Limits(),
        on_refused=lambda reason: print("refused", reason, file=sys.stderr),
    )
    print(await server.start("127.0.0.1", 0), flush=True)
    await until_stdin_closes()
    await server.stop(0)


async def serve_grpc_aio(credentials: grpc.ServerCredentials) -> None:
    feed, first, push = Feed(), parts_of(FIRST), parts_of(PUSH)

    async def subscribe(_, context) -> None:  # type: ignore[no-untyped-def]
        await context.read()
        seen = feed.round
        await context.write(b"".join(first))
        while True:
            while feed.round == seen:
                await feed.changed.wait()
            seen = feed.round
            await context.write(b"".join(push))

    async def control(_, context) -> None:  # type: ignore[no-untyped-def]
        while await context.read() is not grpc.aio.EOF:
            feed.push()

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details):  # type: ignore[no-untyped-def]
            return grpc.stream_stream_rpc_method_handler({METHOD: subscribe, CONTROL: control}[details.method])

    options = [("grpc.server.max_pending_requests", 100_000), ("grpc.server.max_pending_requests_hard_limit", 200_000)]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Handlers(),))
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    await server.start()
    await until_stdin_closes()
    await server.stop(0)


# --- client -----------------------------------------------------------------------------------------------------------


def opening(path: str) -> bytes:
    fields = [
        (b":path", path),
        (b":authority", "localhost"),
        (b"content-type", "application/grpc"),
        (b"te", "trailers"),
    ]
    block = b"\x83\x87" + headers.encode((name, value.encode()) for name, value in fields)
    settings = frames.settings_frame({frames.Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW})
    window = frames.window_update(0, frames.MAX_WINDOW - frames.DEFAULT_WINDOW)
    return frames.PREFACE + settings + window + frames.frame(frames.Type.HEADERS, frames.Flag.END_HEADERS, 1, block)


def message(size: int) -> bytes:
    return frames.frame(frames.Type.DATA, 0, 1, b"\0" + size.to_bytes(4, "big") + bytes(size))


class Client(asyncio.Protocol):
    """Counts DATA bytes; calls `on_message` when a message of the size it waits for is complete."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.buffer = bytearray()
        self.received = 0
        self.expected = 0
        self.on_message = lambda: None

    def connection_made(self, transport) -> None:  # type: ignore[no-untyped-def]
        self.transport = transport
        transport.write(opening(self.path) + message(1000))

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer
        buffer += data
        start, end = 0, len(buffer)
        while end - start >= 9:
            size = int.from_bytes(buffer[start : start + 3], "big")
            if end - start < 9 + size:
                break
            kind, flags = buffer[start + 3], buffer[start + 4]
            if kind == frames.Type.DATA:
                self.received += size
            elif kind in (frames.Type.SETTINGS, frames.Type.PING) and not flags:
                payload = bytes(buffer[start + 9 : start + 9 + size])
                self.transport.write(
                    frames.frame(kind, frames.Flag.ACK, 0, payload if kind == frames.Type.PING else b"")
                )
            elif kind in (frames.Type.GOAWAY, frames.Type.RST_STREAM):
                sys.exit(f"the server gave up: {bytes(buffer[start + 9 : start + 60])!r}")
            start += 9 + size
        del buffer[:start]
        if self.expected and self.received >= self.expected:
            self.expected = 0
            self.on_message()


def usage(pid: int) -> tuple[float, float]:
    """CPU seconds and resident KiB of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert rss is not None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), float(rss[1])


async def measure(pid: int, port: int, count: int, idle: float, rounds: int) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    clients = [Client(METHOD) for _ in range(count)]

    def expect(size: int) -> tuple[asyncio.Event, list[float]]:
        done, times = asyncio.Event(), []

        def arrived() -> None:
            times.append(time.perf_counter())
            if len(times) == count:
                done.set()

        for client in clients:
            client.expected = client.received + size + 5
            client.on_message = arrived
        return done, times

    async def connect(client: Client) -> None:
        await loop.create_connection(lambda: client, "127.0.0.1", port, ssl=context, ssl_handshake_timeout=120)

    cpu, empty = usage(pid)
    done, times = expect(FIRST)
    start = time.perf_counter()
    await asyncio.gather(*map(connect, clients))
    await asyncio.wait_for(done.wait(), 120)
    result = {"all_seconds": max(times) - start, "cpu_seconds": usage(pid)[0] - cpu}
    result["open_kib"] = (usage(pid)[1] - empty) / count

    control = Client(CONTROL)
    await connect(control)
    medians, tails = [], []
    for number in range(rounds + 1):  # the message that opens the control stream is the first, discarded round
        done, times = expect(PUSH)
        start = time.perf_counter()
        if number:
            control.transport.write(message(10))
        await asyncio.wait_for(done.wait(), 60)
        delays = sorted(1000 * (moment - start) for moment in times)
        medians.append(delays[count // 2])
        tails.append(delays[int(count * 0.99)])
    result["push_p50_ms"] = statistics.median(medians[1:])
    result["push_p99_ms"] = statistics.median(tails[1:])
    result["after_kib"] = (usage(pid)[1] - empty) / count
    before = usage(pid)[0]
    await asyncio.sleep(idle)
    result["idle_percent"] = 100 * (usage(pid)[0] - before) / idle
    for client in [*clients, control]:
        client.transport.abort()
    return result


def run_one(server: str, arguments: argparse.Namespace, cert: Path, key: Path, cores: list[int]) -> dict[str, float]:
    os.sched_setaffinity(0, cores)  # the server is to see every core when it picks its own
    command = [sys.executable, "-m", "bench.transport", "--serve", server, str(cert), str(key)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        port = int(process.stdout.readline())
        os.sched_setaffinity(0, cores[-1:])
        try:
            work = measure(process.pid, port, arguments.connections, arguments.idle, arguments.rounds)
            return asyncio.run(work)
        finally:
            process.stdin.close()


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--idle", type=float, default=10, help="seconds of silence in which CPU is measured")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--servers", default="ours,grpc.aio")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    return parser


UNITS = {"seconds": "s", "kib": "KiB", "ms": "ms", "percent": "%"}


def run(arguments: argparse.Namespace | None = None) -> list[figures.Figure]:
    """The figures of each server; the last word of a figure's name is its unit."""
    chosen = arguments or options().parse_args([])
    cores, found = sorted(os.sched_getaffinity(0)), []
    with tempfile.TemporaryDirectory() as folder:
        cert, key = certificate(Path(folder))
        for server in chosen.servers.split(","):
            for name, value in run_one(server, chosen, cert, key, cores).items():
                label, _, unit = name.rpartition("_")
                found.append(figures.Figure(f"transport {server}: {label}", value, UNITS[unit]))
    os.sched_setaffinity(0, cores)
    return found


def main() -> None:
    arguments = options().parse_args()
    if not arguments.serve:
        print(figures.table(run(arguments)))
        return
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    kind, cert, key = arguments.serve
    if kind == "ours":
        asyncio.run(serve_ours(cert, key))
    else:
        pair = Path(key).read_bytes(), Path(cert).read_bytes()
        asyncio.run(serve_grpc_aio(grpc.ssl_server_credentials([pair])))


if __name__ == "__main__":
    main()
