"""Addresses, ports and URLs."""

import pytest

from kuma.resources import addresses


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("192.168.0.1", None),
        ("::1", None),
        ("example.com", None),
        ("under_score.example", None),
        ("", "address can't be empty"),
        ("0.0.0.0", "must not be 0.0.0.0 or ::"),
        ("::", "must not be 0.0.0.0 or ::"),
        ("..>_<..", "address has to be valid IP address or domain name"),
        ("-x", "address has to be valid IP address or domain name"),
        ("fe80::1%eth0", "address has to be valid IP address or domain name"),
    ],
)
def test_addresses(address: str, reason: str | None) -> None:
    assert [each.message for each in addresses.check_address("a", address)] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "192.168.0.1", False),
        ("127.0.0.1", "example.com", False),
    ],
)
def test_overlap(one: str, other: str, clash: bool) -> None:
    assert addresses.overlap(one, other) is clash


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("/healthz", True),
        ("/", True),
        ("/a%20b?x=1", True),
        ("http://host:80/x", True),
        ("healthz", False),
        ("8080/healthz", False),
        ("", False),
        ("/%zz", False),
        ("/a\nb", False),
        ("http://host:port/", False),
    ],
)
def test_request_uris(text: str, good: bool) -> None:
    assert addresses.is_request_uri(text) is good


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("kibana:1234", ("kibana", "1234")),
        ("[::1]:80", ("::1", "80")),
        ("kibana", None),
        ("::1:80", None),
        ("[::1]80", None),
        (":80", ("", "80")),
    ],
)
def test_host_and_port(text: str, parts: tuple[str, str] | None) -> None:
    assert addresses.split_host_port(text) == parts
