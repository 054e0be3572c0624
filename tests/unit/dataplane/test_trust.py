"""Which CA the control plane is known by, and that a control plane on this machine may make its own later."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kuma.apps.dataplane import control_plane
from kuma.apps.dataplane import settings as conf
from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import trust
from kuma.base import durations
from kuma.security import certificates
from tests.unit.dataplane.servers import http

LOCAL, REMOTE = "https://localhost:5678", "https://cp.example:5678"
PAIR = certificates.self_signed(["127.0.0.1"], datetime.now(UTC))
PEM = PAIR.cert_pem.decode()


def found(flags: dict[str, str], environ: dict[str, str] | None = None) -> trust.Trust:
    return trust.trust_of(conf.load_settings(flags, environ or {}), {"HOME": "/home/u"})


@pytest.mark.parametrize(
    ("flags", "own_file"),
    [
        ({"cp_address": LOCAL}, "/home/u/.kuma/kuma-cp.crt"),
        ({"cp_address": "https://127.0.0.1:5678"}, "/home/u/.kuma/kuma-cp.crt"),
        ({"cp_address": REMOTE}, ""),
        ({"cp_address": LOCAL, "skip_verify": "true"}, ""),
    ],
)
def test_only_a_control_plane_on_this_machine_is_looked_for(flags: dict[str, str], own_file: str) -> None:
    assert found(flags).own_file == own_file


def test_a_given_ca_is_settled(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text(PEM)
    by_file = found({"ca_cert_file": str(tmp_path / "ca.pem")})
    by_variable = found({}, {"KUMA_CONTROL_PLANE_CA_CERT": PEM})

    assert (by_file.ca, by_file.source, by_file.own_file) == (PEM, str(tmp_path / "ca.pem"), "")
    assert (by_variable.ca, by_variable.source, by_variable.own_file) == (PEM, "KUMA_CONTROL_PLANE_CA_CERT", "")


async def ask(known_by: trust.Trust, file: Path, content: str) -> control_plane.ControlPlane:
    """Asks a control plane that shows `PAIR`; at its second question `content` stands in the file."""
    (file.parent / "pair.pem").write_bytes(PAIR.cert_pem + PAIR.key_pem)
    shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    shown.load_cert_chain(file.parent / "pair.pem")
    answer = http(200, b'{"bootstrap": ""}', "application/json")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    attempts = 0

    def make_own() -> None:
        file.write_text(content)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=shown) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        plane = control_plane.ControlPlane(url, known_by, "", durations.MILLISECOND, 0)

        async def attempt() -> None:
            nonlocal attempts
            attempts += 1
            if attempts == 2:
                make_own()
            await plane.ask_bootstrap({})

        async with asyncio.timeout(20):
            await plane.until_answered(attempt)
    assert attempts == 3
    return plane


@pytest.mark.parametrize("before", ["", certificates.self_signed(["127.0.0.1"], datetime.now(UTC)).cert_pem.decode()])
async def test_the_certificate_of_a_new_control_plane_is_taken_up(tmp_path: Path, before: str) -> None:
    file = tmp_path / "kuma-cp.crt"
    if before:
        file.write_text(before)
    known_by = trust.Trust(own_file=str(file))

    plane = await ask(known_by, file, PEM)

    assert (plane.trust.ca, plane.trust.source) == (PEM, str(file))


async def test_a_file_that_holds_no_certificate_yet_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "kuma-cp.crt"
    file.write_text("-----BEGIN")

    plane = control_plane.ControlPlane(LOCAL, trust.Trust(own_file=str(file)), "", durations.MILLISECOND, 1)

    async def never() -> None:
        raise AssertionError("nobody is asked without a CA")

    with pytest.raises(AgentError, match=rf"{file} is not a certificate in PEM form"):
        await plane.until_answered(never)


async def test_what_cannot_be_trusted_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"control plane at .* cannot be trusted by /x: .* --ca-cert-file$"):
        await ask(
            trust.Trust(certificates.self_signed(["a"], datetime.now(UTC)).cert_pem.decode(), "/x"), tmp_path / "x", ""
        )
