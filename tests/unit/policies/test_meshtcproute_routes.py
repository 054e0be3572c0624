"""Rules of MeshTCPRoute as Envoy's TCP proxies, from the resources of a mesh to what a client's proxy receives."""

from typing import Any

import pytest

from tests.kit import routes
from tests.kit.routes import BACKENDS

DB, DB2 = {"kind": "MeshService", "name": "db"}, {"kind": "MeshService", "name": "db2"}


def proxy_of(snapshot: dict[str, Any], port: int = routes.OF_DATABASE) -> dict[str, Any]:
    """Name and conf of the filters before a destination; the conf without what it is called."""
    filters = routes.listener(snapshot, port)["filterChains"][0].get("filters", [])
    return {
        each["name"].rsplit(".", 1)[-1]: {
            key: value for key, value in each["typedConfig"].items() if key in ("cluster", "weightedClusters")
        }
        for each in filters
    }


@pytest.mark.parametrize(
    ("backends", "expected"),
    [
        ([DB2], {"tcp_proxy": {"cluster": "db2"}}),
        (
            [{**DB, "weight": 80}, {**DB2, "weight": 20}],
            {
                "tcp_proxy": {
                    "weightedClusters": {"clusters": [{"name": "db", "weight": 80}, {"name": "db2", "weight": 20}]}
                }
            },
        ),
        ([DB, {**DB2, "weight": 0}], {"tcp_proxy": {"cluster": "db"}}),
        ([{"kind": "MeshService", "name": "nobody", "port": 80}, DB], {"tcp_proxy": {"cluster": "db"}}),
        ([{"kind": "MeshService", "name": "nobody", "port": 80}], {}),
    ],
)
def test_connections_are_spread(backends: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    snapshot = routes.compiled(*BACKENDS, routes.tcp_route("r", "db", *backends))
    assert proxy_of(snapshot) == expected
    assert ("db2" in snapshot["clusters"]) == ("db2" in str(expected))


def test_without_a_rule_they_go_to_the_destination() -> None:
    assert proxy_of(routes.compiled(*BACKENDS)) == {"tcp_proxy": {"cluster": "db"}}


def test_a_destination_that_speaks_http_is_spread_as_it_is() -> None:
    snapshot = routes.compiled(*BACKENDS, routes.tcp_route("t", "api", DB2))
    assert proxy_of(snapshot, routes.OUTBOUND) == {"tcp_proxy": {"cluster": "db2"}}


def test_rules_about_requests_go_before() -> None:
    rule = routes.rule({"method": "GET"})
    snapshot = routes.compiled(*BACKENDS, routes.tcp_route("t", "api", DB2), routes.http_route("h", rule))
    assert [each["route"]["cluster"] for each in routes.http(snapshot)] == ["api", "api"]


def test_rules_about_requests_mean_nothing_to_a_destination_without_http() -> None:
    everything = routes.rule({"path": {"type": "PathPrefix", "value": "/"}}, backends=[DB2])
    snapshot = routes.compiled(*BACKENDS, routes.http_route("h", everything, to="db"))
    assert proxy_of(snapshot) == {"tcp_proxy": {"cluster": "db"}}


def test_the_most_important_policy_decides() -> None:
    snapshot = routes.compiled(*BACKENDS, routes.tcp_route("b", "db", DB), routes.tcp_route("a", "db", DB2))
    assert proxy_of(snapshot) == {"tcp_proxy": {"cluster": "db2"}}


def test_an_outbound_with_tags_leads_to_those_who_have_them() -> None:
    snapshot = routes.compiled(*BACKENDS)
    (route,) = routes.http(snapshot, routes.OF_SUBSET)
    assert routes.addresses(snapshot, route["route"]["cluster"]) == ["192.168.1.1"]
    tags = routes.listener(snapshot, routes.OF_SUBSET)["metadata"]["filterMetadata"]["io.kuma.tags"]
    assert tags == {"kuma.io/service": "api", "version": "v1"}
