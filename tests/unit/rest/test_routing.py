"""Paths to handlers."""

import pytest

from kuma.servers.rest.messages import routing


@pytest.fixture
def routes() -> routing.Routes[str]:
    found: routing.Routes[str] = routing.Routes()
    found.add("GET", "/", "index")
    found.add("GET", "/meshes/{mesh}/dataplanes", "list")
    found.add("GET", "/meshes/{mesh}/dataplanes/_overview", "overviews")
    found.add("GET", "/meshes/{mesh}/dataplanes/{name}", "read")
    found.add("PUT", "/meshes/{mesh}/dataplanes/{name}", "write")
    found.add("GET", "/meshes/{mesh}/dataplanes/{name}/_overview", "overview")
    found.add("GET", "/meshes/{mesh}/dataplanes/{name}/{operation}", "operation")
    return found


@pytest.mark.parametrize(
    ("path", "handler", "parameters"),
    [
        ("/", "index", {}),
        ("", "index", {}),
        ("/meshes/m/dataplanes", "list", {"mesh": "m"}),
        ("/meshes/m/dataplanes/", "list", {"mesh": "m"}),
        ("/meshes/m/dataplanes/_overview", "overviews", {"mesh": "m"}),
        ("/meshes/m/dataplanes/d", "read", {"mesh": "m", "name": "d"}),
        ("/meshes/m/dataplanes/_overview/xds", "operation", {"mesh": "m", "name": "_overview", "operation": "xds"}),
        ("/meshes/m/dataplanes/d/_overview", "overview", {"mesh": "m", "name": "d"}),
        ("/meshes/m/dataplanes/d/xds", "operation", {"mesh": "m", "name": "d", "operation": "xds"}),
    ],
)
def test_found(routes: routing.Routes[str], path: str, handler: str, parameters: dict[str, str]) -> None:
    found = routes.find(path)
    assert found is not None
    assert (found.handlers["GET"], dict(found.parameters)) == (handler, parameters)


@pytest.mark.parametrize(
    "path", ["/meshes", "/meshes/m", "/meshes//dataplanes", "/other", "/meshes/m/dataplanes/a/b/c"]
)
def test_not_found(routes: routing.Routes[str], path: str) -> None:
    assert routes.find(path) is None


def test_methods_of_one_path(routes: routing.Routes[str]) -> None:
    found = routes.find("/meshes/m/dataplanes/d")
    assert found is not None
    assert found.handlers == {"GET": "read", "PUT": "write"}


def test_two_handlers_of_one_route_are_a_mistake(routes: routing.Routes[str]) -> None:
    with pytest.raises(ValueError, match="twice"):
        routes.add("GET", "/meshes/{other}/dataplanes/{name}", "again")
