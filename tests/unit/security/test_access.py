"""Who is the admin, and who may do what."""

import pytest

from kuma.base import errors
from kuma.resources.kinds import mesh, secret
from kuma.security import access
from kuma.security.users import ADMIN, ANONYMOUS, User

BOB = User("bob", ("team",)).authenticated()


@pytest.mark.parametrize(
    ("peer", "headers", "scheme", "expected"),
    [
        ("127.0.0.1", {"host": "localhost:5681"}, "http", True),
        ("127.0.0.1", {"host": "127.0.0.1"}, "http", True),
        ("127.9.9.9", {"host": "127.0.0.5:80"}, "http", True),
        ("::1", {"host": "[::1]:5681"}, "http", True),
        ("::ffff:127.0.0.1", {"host": "LOCALHOST"}, "http", True),
        # from elsewhere
        ("10.0.0.1", {"host": "localhost:5681"}, "http", False),
        ("::ffff:10.0.0.1", {"host": "localhost"}, "http", False),
        ("", {"host": "localhost"}, "http", False),
        # through a name that may have been made to resolve to loopback, or no name
        ("127.0.0.1", {"host": "evil.example.com:5681"}, "http", False),
        ("127.0.0.1", {"host": "localhost.evil.example.com"}, "http", False),
        ("127.0.0.1", {"host": "10.0.0.1"}, "http", False),
        ("127.0.0.1", {}, "http", False),
        # through a reverse proxy
        ("127.0.0.1", {"host": "localhost", "x-forwarded-for": "10.0.0.1"}, "http", False),
        ("127.0.0.1", {"host": "localhost", "x-real-ip": ""}, "http", False),
        ("127.0.0.1", {"host": "localhost", "forwarded": "for=10.0.0.1"}, "http", False),
        # from a browser
        ("127.0.0.1", {"host": "localhost:5681", "sec-fetch-site": "same-origin"}, "http", True),
        ("127.0.0.1", {"host": "localhost:5681", "sec-fetch-site": "none"}, "http", True),
        ("127.0.0.1", {"host": "localhost:5681", "sec-fetch-site": ""}, "http", True),
        ("127.0.0.1", {"host": "localhost:5681", "sec-fetch-site": "cross-site"}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "sec-fetch-site": "same-site"}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "origin": "http://localhost:5681"}, "http", True),
        ("127.0.0.1", {"host": "localhost", "origin": "http://localhost:80"}, "http", True),
        ("127.0.0.1", {"host": "localhost:5682", "origin": "https://localhost:5682"}, "https", True),
        ("127.0.0.1", {"host": "localhost:5681", "origin": "http://localhost:3000"}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "origin": "http://127.0.0.1:5681"}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "origin": "http://evil.example.com"}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "origin": "null"}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "origin": ""}, "http", False),
        ("127.0.0.1", {"host": "localhost:5681", "origin": "file://localhost:5681"}, "http", False),
    ],
)
def test_local_admin(peer: str, headers: dict[str, str], scheme: str, expected: bool):
    assert access.is_local_admin(peer, headers, scheme) is expected


STATIC = access.StaticAccess()
DENIED = 'user "bob/team,mesh-system:authenticated" cannot access '


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (lambda user: STATIC.require_resource(user, secret.KIND), DENIED + 'the resource of type "Secret"'),
        (
            lambda user: STATIC.require_resource(user, secret.GLOBAL_KIND),
            DENIED + 'the resource of type "GlobalSecret"',
        ),
        (STATIC.require_dataplane_token, DENIED + "generate dataplane token"),
        (lambda user: STATIC.require_zone_token(user, "east"), DENIED + "generate zone token for zone 'east'"),
        (STATIC.require_user_token, "action not allowed"),
    ],
)
def test_what_only_admins_may_do(check, text: str):
    check(ADMIN)
    check(User("mesh-system:admin"))
    check(User("somebody", ("mesh-system:admin",)))
    with pytest.raises(errors.AccessDenied) as refusal:
        check(BOB)
    assert str(refusal.value) == text


def test_the_text_of_an_anonymous_refusal():
    with pytest.raises(errors.AccessDenied) as refusal:
        STATIC.require_resource(ANONYMOUS, secret.GLOBAL_KIND)
    assert str(refusal.value) == (
        'user "mesh-system:anonymous/mesh-system:unauthenticated" cannot access the resource of type "GlobalSecret"'
    )


@pytest.mark.parametrize("user", [ADMIN, BOB, ANONYMOUS])
def test_what_everybody_may_do(user: User):
    STATIC.require_resource(user, mesh.KIND)
    STATIC.require_config_dump(user)
    STATIC.require_stats(user)
    STATIC.require_clusters(user)
    STATIC.require_control_plane_metadata(user)


def test_rules_can_be_narrowed():
    narrow = access.StaticAccess(
        view_config_dump=access.Rule(users=frozenset({"bob"})),
        view_stats=access.Rule(groups=frozenset({"team"})),
        view_clusters=access.Rule(),
        control_plane_metadata=access.Rule(),
    )
    narrow.require_config_dump(BOB)
    narrow.require_stats(BOB)
    for check in (narrow.require_clusters, narrow.require_control_plane_metadata):
        with pytest.raises(errors.AccessDenied):
            check(BOB)
    with pytest.raises(errors.AccessDenied, match="cannot access envoy proxy info"):
        narrow.require_stats(ANONYMOUS)


def test_an_authenticated_user_is_in_the_group_once():
    assert BOB.groups == ("team", "mesh-system:authenticated")
    assert BOB.authenticated() == BOB
