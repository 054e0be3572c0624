"""A control plane that tests share, and a mesh of its own for each of them."""

from collections.abc import Iterator

import pytest

from tests.kit import meshes, planes


@pytest.fixture(scope="session")
def shared_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[planes.Plane]:
    """One control plane on a memory store for all tests that leave it as it is."""
    settings = {"XDS_DATAPLANE_DEREGISTRATION_DELAY": "2s", "DP_SERVER_HDS_INTERVAL": "2s"}
    plane = planes.Plane(tmp_path_factory.mktemp("plane"), **settings)
    try:
        yield plane.start()
    finally:
        plane.end()


@pytest.fixture
def mesh(shared_plane: planes.Plane) -> Iterator[meshes.Mesh]:
    """A mesh of its own on the shared control plane."""
    with meshes.mesh(shared_plane) as made:
        yield made
