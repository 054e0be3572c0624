"""Envoy's admin API and the agent's readiness, as the proxy offers them."""

import pytest

from kuma.compiler import admin
from kuma.plan import proxy
from tests.kit import telemetry, worlds

CERTIFICATE = admin.AdminCertificate(b"c", b"k", b"a")


def names(address: str = "127.0.0.1", port: str = "9901", ready: str = "9902") -> tuple[list[str], list[object]]:
    metadata = {
        "dataplane.admin.port": port,
        "dataplane.admin.address": address,
        "dataplane.readinessReporter.port": ready,
    }
    made, behind = admin.admin_nodes(proxy.facts_of(worlds.a_dataplane("d", "s"), metadata), CERTIFICATE)
    return [each.name for each in made], [telemetry.address(each) for each in behind]


@pytest.mark.parametrize(
    ("address", "reached"),
    [
        ("", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.2"),
        ("::", "::1"),
        ("::1", "::1"),
    ],
)
def test_it_is_reached_on_the_loopback(address: str, reached: str) -> None:
    assert names(address) == (["kuma:envoy:admin"], [(reached, 9901), (reached, 9902)])


@pytest.mark.parametrize("address", ["192.168.0.1", "10.0.0.1", "fd00::1", "localhost", "nonsense"])
def test_what_everybody_could_use_is_not_offered(address: str) -> None:
    assert names(address) == ([], [])


def test_it_needs_a_port_and_readiness() -> None:
    assert names(port="") == ([], [])
    assert names(ready="") == ([], [])
