"""Who a request counts as, and what that user may do."""

import json

import pytest

from kuma.base import durations
from kuma.servers.rest import app
from kuma.services.trust import signing_keys
from tests.kit import api as kit

HOUR = durations.HOUR


async def with_keys(settings: app.Settings | None = None) -> kit.Api:
    api = kit.build(settings=settings)
    await signing_keys.SigningKeys(api.store).ensure(signing_keys.USER)
    return api


def bearer(token: str) -> dict[str, str]:
    return {**kit.REMOTE, "authorization": f"Bearer {token}"}


async def test_the_machine_itself_is_the_admin() -> None:
    api = await with_keys()
    found = await api.get("/who-am-i")
    assert found == {"name": "mesh-system:admin", "groups": ["mesh-system:admin", "mesh-system:authenticated"]}
    # A token is not looked at where none is needed.
    assert (await api.call("GET", "/meshes", headers={**kit.LOCAL, "authorization": "Bearer garbage"})).status == 200


async def test_others_are_nobody_in_particular() -> None:
    api = await with_keys()
    expected = {"name": "mesh-system:anonymous", "groups": ["mesh-system:unauthenticated"]}
    assert await api.get("/who-am-i", kit.REMOTE) == expected
    assert await api.get("/who-am-i", {**kit.REMOTE, "authorization": "Basic abc"}) == expected
    assert (await api.call("PUT", "/meshes/m", {"type": "Mesh", "name": "m"}, kit.REMOTE)).status == 201


async def test_a_user_token_names_its_user() -> None:
    api = await with_keys()
    token = await api.issuer.user("jane", ["team"], HOUR)
    assert await api.get("/who-am-i", bearer(token)) == {
        "name": "jane",
        "groups": ["team", "mesh-system:authenticated"],
    }


@pytest.mark.parametrize("token", ["garbage", "eyJhbGciOiJub25lIn0.e30.", ""])
async def test_a_token_that_is_none_is_refused_wherever_it_is_shown(token: str) -> None:
    api = await with_keys()
    for path in ("/meshes", "/nothing", "/who-am-i"):
        answer = await api.call("GET", path, headers=bearer(token))
        document = json.loads(answer.body)
        assert (answer.status, document["title"], document["detail"]) == (
            401,
            "Invalid authentication data",
            "Unauthenticated",
        )
    assert (await api.call("GET", "/", headers=bearer(token))).status == 200


async def test_an_expired_token_is_refused() -> None:
    api = await with_keys()
    token = await api.issuer.user("jane", [], -HOUR)
    assert (await api.call("GET", "/meshes", headers=bearer(token))).status == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "action"),
    [
        ("GET", "/global-secrets", None, 'the resource of type "GlobalSecret"'),
        ("GET", "/globalsecrets/x", None, 'the resource of type "GlobalSecret"'),
        ("PUT", "/globalsecrets/x", {"type": "GlobalSecret", "name": "x"}, 'the resource of type "GlobalSecret"'),
        ("POST", "/tokens/dataplane", {"mesh": "m"}, "generate dataplane token"),
        ("POST", "/tokens/zone", {"zone": "z"}, "generate zone token for zone 'z'"),
    ],
)
async def test_what_admins_alone_may_do(method: str, path: str, body: object, action: str) -> None:
    api = await with_keys()
    answer = await api.call(method, path, body, kit.REMOTE)
    document = json.loads(answer.body)
    who = "mesh-system:anonymous/mesh-system:unauthenticated"
    assert (answer.status, document["title"], document["detail"]) == (
        403,
        "Access Denied",
        f'user "{who}" cannot access {action}',
    )


async def test_a_missing_secret_is_missing_for_everybody() -> None:
    api = await with_keys()
    assert (await api.call("DELETE", "/globalsecrets/x", headers=kit.REMOTE)).status == 404
    await api.put("/globalsecrets/x", {"type": "GlobalSecret", "name": "x", "data": "dGVzdA=="})
    assert (await api.call("DELETE", "/globalsecrets/x", headers=kit.REMOTE)).status == 403


async def test_the_machine_is_like_others_when_told_so() -> None:
    api = await with_keys(app.Settings(localhost_is_admin=False))
    assert (await api.get("/who-am-i"))["name"] == "mesh-system:anonymous"
