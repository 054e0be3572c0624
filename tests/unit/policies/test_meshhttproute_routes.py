"""Rules of MeshHTTPRoute as Envoy's routes, from the resources of a mesh to what a client's proxy receives."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.kit import routes, worlds
from tests.kit.routes import API, BACKENDS, rule

CATCH_ALL = "9Zuf5Tg79OuZcQITwBbQykxAk2u4fRKrwYn3//AL4Yo="


def made(*rules: Mapping[str, Any], **spec: Any) -> list[dict[str, Any]]:
    """The routes to `api` by its tag under one MeshHTTPRoute."""
    return routes.http(routes.compiled(*BACKENDS, routes.http_route("r", *rules, **spec)))


def matches(found: list[dict[str, Any]]) -> list[Any]:
    return [each["match"] for each in found]


def action(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found["route"].items() if key != "timeout"}


def test_without_a_rule_everything_goes_to_the_destination() -> None:
    assert routes.http(routes.compiled(*BACKENDS)) == [
        {"name": CATCH_ALL, "match": {"prefix": "/"}, "route": {"cluster": "api", "timeout": "0s"}}
    ]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ({"path": {"type": "Exact", "value": "/a"}}, [{"path": "/a"}]),
        ({"path": {"type": "PathPrefix", "value": "/a"}}, [{"path": "/a"}, {"prefix": "/a/"}]),
        ({"path": {"type": "RegularExpression", "value": "/a.*"}}, [{"safeRegex": {"regex": "/a.*"}}]),
        ({"method": "POST"}, [{"prefix": "/", "headers": [{"name": ":method", "stringMatch": {"exact": "POST"}}]}]),
        (
            {
                "headers": [
                    {"name": "a", "value": "1"},
                    {"name": "b", "type": "Prefix", "value": "2"},
                    {"name": "c", "type": "RegularExpression", "value": "3"},
                    {"name": "d", "type": "Present"},
                    {"name": "e", "type": "Absent"},
                ]
            },
            [
                {
                    "prefix": "/",
                    "headers": [
                        {"name": "a", "stringMatch": {"exact": "1"}},
                        {"name": "b", "stringMatch": {"prefix": "2"}},
                        {"name": "c", "stringMatch": {"safeRegex": {"regex": "3"}}},
                        {"name": "d", "presentMatch": True},
                        {"name": "e", "presentMatch": False},
                    ],
                }
            ],
        ),
        (
            {
                "queryParams": [
                    {"type": "Exact", "name": "a", "value": "1"},
                    {"type": "RegularExpression", "name": "b", "value": "2.*"},
                ]
            },
            [
                {
                    "prefix": "/",
                    "queryParameters": [
                        {"name": "a", "stringMatch": {"exact": "1"}},
                        {"name": "b", "stringMatch": {"safeRegex": {"regex": "2.*"}}},
                    ],
                }
            ],
        ),
    ],
)
def test_a_match_as_envoy_knows_it(match: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    found = made(rule(match))
    assert matches(found) == [*expected, {"prefix": "/"}]
    assert all(action(each) == {"cluster": "api"} for each in found)


def test_the_most_specific_match_is_tried_first() -> None:
    """In the reverse order of how specific they are, so that only sorting gives the result."""
    found = made(
        rule({"queryParams": [{"type": "Exact", "name": "q", "value": "1"}]}),
        rule({"headers": [{"name": "h", "value": "1"}]}),
        rule({"method": "GET"}),
        rule({"path": {"type": "RegularExpression", "value": "/r"}}),
        rule({"path": {"type": "RegularExpression", "value": "/rr"}}),
        rule({"path": {"type": "PathPrefix", "value": "/p"}}),
        rule({"path": {"type": "PathPrefix", "value": "/pp"}}, {"path": {"type": "PathPrefix", "value": "/ppp"}}),
        rule({"path": {"type": "Exact", "value": "/"}}),
        rule({"path": {"type": "Exact", "value": "/"}, "headers": [{"name": "h", "value": "2"}]}),
    )
    one = [{"name": "h", "stringMatch": {"exact": "2"}}]
    assert matches(found) == [
        {"path": "/", "headers": one},
        {"path": "/"},
        *(
            {"path": "/ppp"},
            {"prefix": "/ppp/"},
            {"path": "/pp"},
            {"prefix": "/pp/"},
            {"path": "/p"},
            {"prefix": "/p/"},
        ),
        {"safeRegex": {"regex": "/rr"}},
        {"safeRegex": {"regex": "/r"}},
        {"prefix": "/", "headers": [{"name": ":method", "stringMatch": {"exact": "GET"}}]},
        {"prefix": "/", "headers": [{"name": "h", "stringMatch": {"exact": "1"}}]},
        {"prefix": "/", "queryParameters": [{"name": "q", "stringMatch": {"exact": "1"}}]},
        {"prefix": "/"},
    ]


def test_a_rule_about_everything_leaves_nothing_over() -> None:
    found = made(
        rule({"path": {"type": "PathPrefix", "value": "/"}}, backends=[{"kind": "MeshService", "name": "db2"}])
    )
    assert [(each["match"], action(each)) for each in found] == [({"prefix": "/"}, {"cluster": "db2"})]


def test_backends_share_requests_by_weight() -> None:
    found = made(
        rule(
            {"path": {"type": "Exact", "value": "/a"}},
            backends=[
                {"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v2"}, "weight": 3},
                {"kind": "MeshService", "name": "db2"},
                {"kind": "MeshService", "name": "api", "weight": 0},
            ],
        )
    )
    clusters = [{"name": "api-b5aea33c6192fce8", "weight": 3}, {"name": "db2", "weight": 1}]
    assert action(found[0]) == {"weightedClusters": {"clusters": clusters}}


def test_a_subset_is_a_cluster_of_those_who_have_its_tags() -> None:
    subset = {"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v2"}}
    snapshot = routes.compiled(*BACKENDS, routes.http_route("r", rule({"method": "GET"}, backends=[subset])), mtls=True)
    name = "api-b5aea33c6192fce8"
    assert snapshot["clusters"][name]["transportSocket"]["typedConfig"]["sni"] == "api{mesh=m,version=v2}"
    assert routes.addresses(snapshot, name) == ["192.168.1.2"]
    assert routes.addresses(snapshot, "api") == ["192.168.1.1", "192.168.1.2"]


@pytest.mark.parametrize(
    "backend",
    [
        {"kind": "MeshService", "name": "db"},
        {"kind": "MeshService", "name": "nobody"},
        {"kind": "MeshService", "name": "nobody", "port": 80},
        {"kind": "MeshService", "labels": {"of": "nobody"}},
    ],
    ids=["another protocol", "no such service", "no such MeshService", "no such labels"],
)
def test_a_rule_that_leads_nowhere_is_passed_over(backend: dict[str, Any]) -> None:
    found = made(
        rule({"path": {"type": "Exact", "value": "/a"}}, backends=[backend]),
        rule({"path": {"type": "Exact", "value": "/b"}}, backends=[backend, {"kind": "MeshService", "name": "db2"}]),
    )
    assert [(each["match"], action(each)) for each in found] == [
        ({"path": "/b"}, {"cluster": "db2"}),
        ({"prefix": "/"}, {"cluster": "api"}),
    ]


@pytest.mark.parametrize(
    ("conf", "match", "expected"),
    [
        ({}, {"path": "/a"}, {"responseCode": "FOUND"}),
        ({"statusCode": 301}, {"path": "/a"}, {}),
        ({"statusCode": 303}, {"path": "/a"}, {"responseCode": "SEE_OTHER"}),
        ({"statusCode": 307}, {"path": "/a"}, {"responseCode": "TEMPORARY_REDIRECT"}),
        ({"statusCode": 308}, {"path": "/a"}, {"responseCode": "PERMANENT_REDIRECT"}),
        (
            {"statusCode": 301, "scheme": "https", "hostname": "h.example", "port": 8443},
            {"prefix": "/a/"},
            {"schemeRedirect": "https", "hostRedirect": "h.example", "portRedirect": 8443},
        ),
        (
            {"statusCode": 301, "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}},
            {"prefix": "/a/"},
            {"prefixRewrite": "/b/"},
        ),
        (
            {"statusCode": 301, "path": {"type": "ReplaceFullPath", "replaceFullPath": "/b"}},
            {"prefix": "/a/"},
            {"regexRewrite": {"pattern": {"regex": ".*"}, "substitution": "/b"}},
        ),
    ],
)
def test_a_redirect(conf: dict[str, Any], match: dict[str, Any], expected: dict[str, Any]) -> None:
    filters = [
        {"type": "RequestRedirect", "requestRedirect": conf},
        {"type": "URLRewrite", "urlRewrite": {"hostname": "other.example"}},
    ]
    found = made(rule({"path": {"type": "PathPrefix", "value": "/a"}}, filters=filters))
    route = next(each for each in found if each["match"] == match)
    assert route["redirect"] == expected
    assert "route" not in route


def whole(path: str) -> dict[str, Any]:
    return {"regexRewrite": {"pattern": {"regex": ".*"}, "substitution": path}}


@pytest.mark.parametrize(
    ("prefix", "conf", "expected"),
    [
        ("/a", {"type": "ReplaceFullPath", "replaceFullPath": "/b"}, [whole("/b"), whole("/b")]),
        ("/a", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, [whole("/"), {"prefixRewrite": "/"}]),
        ("/a", {"type": "ReplacePrefixMatch", "replacePrefixMatch": ""}, [whole("/"), {"prefixRewrite": "/"}]),
        ("/a", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}, [whole("/b"), {"prefixRewrite": "/b/"}]),
        (
            "/a",
            {"type": "ReplacePrefixMatch", "replacePrefixMatch": r"/\1"},
            [whole(r"/\\1"), {"prefixRewrite": "/\\1/"}],
        ),
        ("/", {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}, [{"prefixRewrite": "/b/"}]),
    ],
)
def test_a_rewritten_path(prefix: str, conf: dict[str, Any], expected: list[dict[str, Any]]) -> None:
    filters = [{"type": "URLRewrite", "urlRewrite": {"path": conf}}]
    found = made(rule({"path": {"type": "PathPrefix", "value": prefix}}, filters=filters))
    assert [action(each) for each in found[: len(expected)]] == [{"cluster": "api", **each} for each in expected]


def test_headers_and_host_are_changed_on_the_way() -> None:
    changes = {
        "set": [{"name": "s", "value": "1"}],
        "add": [{"name": "a", "value": "2"}],
        "remove": ["r"],
    }
    filters = [
        {"type": "RequestHeaderModifier", "requestHeaderModifier": changes},
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": changes},
        {"type": "URLRewrite", "urlRewrite": {"hostname": "h.example"}},
    ]
    found = made(rule({"method": "GET"}, filters=filters))[0]
    added = [
        {"header": {"key": "s", "value": "1"}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"},
        {"header": {"key": "a", "value": "2"}},
    ]
    assert found["requestHeadersToAdd"] == found["responseHeadersToAdd"] == added
    assert found["requestHeadersToRemove"] == found["responseHeadersToRemove"] == ["r"]
    assert action(found) == {"cluster": "api", "hostRewriteLiteral": "h.example"}


@pytest.mark.parametrize(
    ("percentage", "fraction"),
    [
        (None, None),
        (50, {"numerator": 50}),
        ("1.5", {"numerator": 150, "denominator": "TEN_THOUSAND"}),
        ("0.0001", {"numerator": 1, "denominator": "MILLION"}),
        ("half", {}),
        ("-1", {}),
        (101, {"numerator": 100}),
    ],
)
def test_copies_go_to_another_backend(percentage: Any, fraction: dict[str, Any] | None) -> None:
    conf = {"backendRef": {"kind": "MeshService", "name": "db2"}} | ({"percentage": percentage} if percentage else {})
    nowhere = {"backendRef": {"kind": "MeshService", "name": "nobody"}}
    filters = [{"type": "RequestMirror", "requestMirror": each} for each in (nowhere, conf)]
    snapshot = routes.compiled(*BACKENDS, routes.http_route("r", rule({"method": "GET"}, filters=filters)))
    found = routes.http(snapshot)[0]
    expected = {"cluster": "db2"} | ({"runtimeFraction": {"defaultValue": fraction}} if percentage else {})
    assert action(found) == {"cluster": "api", "requestMirrorPolicies": [expected]}
    assert "db2" in snapshot["clusters"]


def test_rules_of_several_policies_are_put_together_and_merged() -> None:
    """`a` comes first in the alphabet, so it is the more important one."""
    get, post = {"method": "GET"}, {"method": "POST"}
    set_header = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["x"]}}]
    snapshot = routes.compiled(
        *BACKENDS,
        routes.http_route(
            "b", rule(get, filters=set_header), rule(post, backends=[{"kind": "MeshService", "name": "db2"}])
        ),
        routes.http_route(
            "a", rule(get, backends=[{"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v2"}}])
        ),
    )
    first, second, _ = routes.http(snapshot)
    assert (first["match"]["headers"][0]["stringMatch"]["exact"], first["requestHeadersToRemove"]) == ("GET", ["x"])
    assert action(first) == {"cluster": "api-b5aea33c6192fce8"}
    assert action(second) == {"cluster": "db2"}


def test_a_listener_knows_whose_rules_it_follows() -> None:
    snapshot = routes.compiled(*BACKENDS, routes.http_route("r", rule({"method": "GET"})))
    assert snapshot["authors"][routes.listener(snapshot, routes.OUTBOUND)["name"]] == ["m", "r"]
    assert snapshot["authors"][routes.listener(snapshot, routes.OF_DATABASE)["name"]] == ["m"]


def test_clients_with_other_rules_share_no_outbounds() -> None:
    one, two = (worlds.a_dataplane(name, name, outbounds={"api": 10001}, labels={"app": name}) for name in ("a", "b"))
    alike = routes.shape_keys(one, two)
    assert alike[0] == alike[1]
    about_one = routes.http_route("r", rule({"method": "GET"}), target={"kind": "Dataplane", "labels": {"app": "a"}})
    apart = routes.shape_keys(one, two, about_one)
    assert apart[0] != apart[1]


def test_clients_that_the_policy_is_not_about_keep_their_route() -> None:
    other = {"kind": "Dataplane", "labels": {"app": "other"}}
    assert len(made(rule({"method": "GET"}), target=other)) == 1
    assert len(made(rule({"method": "GET"}), target={"kind": "Dataplane", "labels": {"app": "web"}})) == 2


class TestMeshServices:
    """Destinations and backends that are resources."""

    @pytest.mark.parametrize(
        ("unified", "name", "cluster"),
        [
            (False, "kri_mhttpr_m_east__r_", "m_api2__east_msvc_80"),
            (True, "kri_mhttpr_m_east__r_rule_0", "kri_msvc_m_east__api2_http"),
        ],
    )
    def test_routes_are_called_by_their_policy(self, unified: bool, name: str, cluster: str) -> None:
        backend = {"kind": "MeshService", "name": "api2", "port": 80}
        route = routes.http_route("r", rule({"method": "GET"}, backends=[backend]), labels={"kuma.io/zone": "east"})
        snapshot = routes.compiled(*BACKENDS, *API, route, unified=unified)
        found, rest = routes.http(snapshot, routes.OF_MESH_SERVICE)
        assert (found["name"], action(found)) == (name, {"cluster": cluster})
        assert rest["name"] == CATCH_ALL
        assert cluster in snapshot["clusters"]

    @pytest.mark.parametrize(
        ("backend", "cluster"),
        [
            ({"kind": "MeshService", "labels": {"of": "api2"}, "sectionName": "http"}, "m_api2__east_msvc_80"),
            ({"kind": "MeshExternalService", "name": "ext"}, "m_ext__east_extsvc_443"),
            ({"kind": "MeshMultiZoneService", "name": "all", "port": 80}, "m_all__east_mzsvc_80"),
        ],
    )
    def test_backends_of_every_kind(self, backend: dict[str, Any], cluster: str) -> None:
        route = routes.http_route("r", rule({"method": "GET"}, backends=[backend]), labels={"kuma.io/zone": "east"})
        found = routes.http(routes.compiled(*BACKENDS, *API, route), routes.OF_MESH_SERVICE)[0]
        outside = {"autoHostRewrite": True} if backend["kind"] == "MeshExternalService" else {}
        assert action(found) == {"cluster": cluster, **outside}

    def test_a_name_is_looked_for_in_the_zone_of_the_policy(self) -> None:
        backend = {"kind": "MeshService", "name": "api2", "port": 80}
        route = routes.http_route("r", rule({"method": "GET"}, backends=[backend]), labels={"kuma.io/zone": "west"})
        by_tag = routes.http(routes.compiled(*BACKENDS, *API, route))
        assert [action(each) for each in by_tag] == [{"cluster": "api"}]
