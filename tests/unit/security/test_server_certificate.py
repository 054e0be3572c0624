"""The control plane's own certificate: made once, kept, never silently replaced."""

import socket
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kuma.base import errors
from kuma.security import certificates, server_certificate

NOW = datetime.now(UTC)


def test_it_is_made_for_every_name_of_the_machine(tmp_path: Path):
    files = server_certificate.ensure(tmp_path / "new" / "dir", NOW, ["cp.example.com"])
    assert (files.cert.name, files.key.name) == ("kuma-cp.crt", "kuma-cp.key")
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    pem = files.cert.read_bytes()
    assert certificates.is_ca(pem)
    for host in ("localhost", "127.0.0.1", socket.gethostname(), "cp.example.com"):
        assert certificates.covers(pem, host)
    assert sorted(each.name for each in files.cert.parent.iterdir()) == ["kuma-cp.crt", "kuma-cp.key"]


def test_it_is_kept(tmp_path: Path):
    first = server_certificate.ensure(tmp_path, NOW).cert.read_bytes()
    assert server_certificate.ensure(tmp_path, NOW, ["other.example.com"]).cert.read_bytes() == first


@pytest.mark.parametrize("gone", ["kuma-cp.crt", "kuma-cp.key"])
def test_half_a_pair_is_made_anew(tmp_path: Path, gone: str):
    server_certificate.ensure(tmp_path, NOW)
    (tmp_path / gone).unlink()
    files = server_certificate.ensure(tmp_path, NOW)
    server_certificate.load_pair(files.cert, files.key)


def test_an_expired_one_is_made_anew(tmp_path: Path):
    first = server_certificate.ensure(tmp_path, NOW).cert.read_bytes()
    later = NOW + timedelta(days=3651)
    assert server_certificate.ensure(tmp_path, later).cert.read_bytes() != first


def test_a_damaged_one_is_reported_and_left(tmp_path: Path):
    files = server_certificate.ensure(tmp_path, NOW)
    files.cert.write_text("nonsense")
    with pytest.raises(errors.BadRequest, match=r"kuma-cp\.crt .* remove both"):
        server_certificate.ensure(tmp_path, NOW)
    assert files.cert.read_text() == "nonsense"


def test_a_configured_pair(tmp_path: Path):
    files = server_certificate.ensure(tmp_path / "a", NOW)
    other = server_certificate.ensure(tmp_path / "b", NOW)
    assert server_certificate.load_pair(files.cert, files.key).cert_pem == files.cert.read_bytes()
    with pytest.raises(errors.BadRequest, match="private key does not match"):
        server_certificate.load_pair(files.cert, other.key)
    with pytest.raises(errors.BadRequest, match=r"could not read .*absent"):
        server_certificate.load_pair(tmp_path / "absent", other.key)


def test_addresses_of_this_machine_can_be_bound():
    addresses = server_certificate.local_addresses()
    assert "127.0.0.1" in addresses
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if address.startswith("fe80"):
            continue  # needs the interface too
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
