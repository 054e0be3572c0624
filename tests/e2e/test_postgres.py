"""Several control planes on one PostgreSQL database: one leads, all see everything, and the server may go and come."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.kit import planes
from tests.kit import postgres as servers

pytestmark = pytest.mark.e2e


@pytest.fixture
def server() -> Iterator[servers.Server]:
    own = servers.Server()
    yield own
    own.close()


@pytest.fixture
def pair(server: servers.Server, tmp_path: Path) -> Iterator[tuple[planes.Plane, planes.Plane]]:
    """Two control planes that start at the same time on an empty database."""
    database = server.new_database()
    settings = {
        "STORE_TYPE": "postgres",
        "STORE_POSTGRES_HOST": "127.0.0.1",
        "STORE_POSTGRES_PORT": str(server.port),
        "STORE_POSTGRES_USER": "kuma",
        "STORE_POSTGRES_PASSWORD": servers.PASSWORD,
        "STORE_POSTGRES_DB_NAME": database.name,
    }
    made = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        made.append(planes.Plane(folder, **settings))
    try:
        yield made[0].start(), made[1].start()
    finally:
        for each in made:
            each.end()


def until(is_so: Callable[[], bool], seconds: float = 20.0) -> float:
    """Asks until it is so; the seconds it took."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with contextlib.suppress(AssertionError, OSError):
            if is_so():
                return time.monotonic() - started
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s")


def names(plane: planes.Plane, path: str) -> set[str]:
    return {each["name"] for each in plane.get(path)["items"]}


def test_control_planes_share_a_database_and_outlive_each_other_and_the_server(
    pair: tuple[planes.Plane, planes.Plane], server: servers.Server
) -> None:
    one, two = pair
    until(lambda: one.metric("leader") + two.metric("leader") == 1)
    until(lambda: names(one, "/meshes") == names(two, "/meshes") == {"default"})

    one.put({"type": "Mesh", "name": "shop"})
    assert until(lambda: names(two, "/meshes") == {"default", "shop"}) < 0.5

    # Tokens that one issues, the other checks; keys are made once.
    assert two.token("shop", "web-1")
    assert names(one, "/meshes/shop/secrets") == names(two, "/meshes/shop/secrets")

    # The leader dies without a word; the other leads before long, and writes insights.
    leader, follower = (one, two) if one.metric("leader") else (two, one)
    leader.kill()
    until(lambda: follower.metric("leader") == 1, 10)
    follower.put({"type": "Mesh", "name": "later"})
    until(lambda: follower.call("GET", "/mesh-insights/later").status == 200)

    # Without a server it is read from and not written to; afterwards all goes on.
    server.stop("immediate")
    assert names(follower, "/meshes") == {"default", "shop", "later"}
    assert follower.call("PUT", "/meshes/lost", {"type": "Mesh", "name": "lost"}).status == 503
    server.start()
    until(lambda: follower.call("PUT", "/meshes/back", {"type": "Mesh", "name": "back"}).status == 201)
    leader.start()
    assert names(leader, "/meshes") == names(follower, "/meshes") == {"default", "shop", "later", "back"}
    for each in pair:
        assert servers.PASSWORD not in each.call("GET", "/config").text
        assert servers.PASSWORD not in (each.folder / "kuma-cp.log").read_text()
