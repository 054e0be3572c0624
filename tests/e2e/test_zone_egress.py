"""A zone egress: real sidecars reach servers outside their meshes through it, and it is told by the resources alone."""

from collections.abc import Iterator

import pytest

from tests.kit import egresses, network, planes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """A control plane of its own: a zone egress changes what all meshes get."""
    made = planes.Plane(tmp_path_factory.mktemp("plane"), XDS_DATAPLANE_DEREGISTRATION_DELAY="2s")
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def egress(plane: planes.Plane) -> Iterator[egresses.Egress]:
    made = egresses.Egress(plane, "way-out")
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_it_joins_is_seen_and_leaves(plane: planes.Plane, egress: egresses.Egress) -> None:
    found = plane.get("/zoneegresses/way-out")
    assert found["networking"]["port"] == egress.port
    insight = egress.insight()
    assert insight["subscriptions"][0]["version"]["envoy"]["version"]
    for operation, text in (("xds", "configs"), ("stats", "server.live"), ("clusters", "kuma:envoy:admin")):
        answer = plane.call("GET", f"/zoneegresses/way-out/{operation}")
        assert answer.status == 200, answer.text
        assert text in answer.text
    egress.end()
    network.until("it is gone", lambda: plane.call("GET", "/zoneegresses/way-out").status == 404)
