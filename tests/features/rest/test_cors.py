"""Web pages of other origins: who may read answers, and what browsers are told before they send."""

import pytest

from kuma.base import errors
from kuma.servers.rest import app
from kuma.servers.rest.messages import cors
from tests.kit import api as kit

PAGE = "https://dash.example.com"


def api(*domains: str) -> kit.Api:
    return kit.build(settings=app.Settings(cors_allowed_domains=domains))


async def test_nobody_is_let_in_by_default() -> None:
    answer = await api().call("GET", "/meshes", headers={**kit.LOCAL, "origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
    assert (await api().call("OPTIONS", "/meshes", headers=preflight("GET"))).status == 405


@pytest.mark.parametrize("domain", [PAGE, "HTTPS://DASH.example.com", ".*", r"https://.*\.example\.com"])
async def test_a_page_that_is_named_may_read(domain: str) -> None:
    answer = await api(domain).call("GET", "/meshes", headers={**kit.LOCAL, "origin": PAGE})
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["vary"] == "Origin"


@pytest.mark.parametrize("domain", ["https://example.com", "example", r"https://.*\.example"])
async def test_a_pattern_fits_the_whole_origin(domain: str) -> None:
    answer = await api(domain).call("GET", "/meshes", headers={**kit.LOCAL, "origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["vary"] == "Origin"


async def test_a_page_that_may_read_is_not_the_admin() -> None:
    found = await api(".*").get("/who-am-i", {**kit.LOCAL, "origin": PAGE})
    assert found["name"] == "mesh-system:anonymous"


async def test_errors_may_be_read_too() -> None:
    answer = await api(PAGE).call("GET", "/meshes/none", headers={**kit.LOCAL, "origin": PAGE})
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (404, PAGE)


def preflight(method: str) -> dict[str, str]:
    return {**kit.REMOTE, "origin": PAGE, "access-control-request-method": method}


async def test_browsers_ask_before_they_send() -> None:
    answer = await api(PAGE).call("OPTIONS", "/meshes/m", headers=preflight("PUT"))
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["access-control-allow-methods"] == "DELETE,GET,PUT"
    assert "content-type" in answer.headers["access-control-allow-headers"]
    assert answer.headers["access-control-allow-origin"] == PAGE


@pytest.mark.parametrize(("path", "method"), [("/meshes/m", "PATCH"), ("/nothing", "GET")])
async def test_what_is_not_served_is_not_allowed(path: str, method: str) -> None:
    answer = await api(PAGE).call("OPTIONS", path, headers=preflight(method))
    assert "access-control-allow-methods" not in answer.headers


def test_a_pattern_that_is_none_stops_the_start() -> None:
    with pytest.raises(errors.BadRequest, match="corsAllowedDomains"):
        cors.Cors(["("])
