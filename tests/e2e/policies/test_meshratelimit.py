"""Limits hold: so many requests or connections and no more, counted by each proxy, and by client where rules say so."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.kit import acting, meshes, network, planes, sidecars, traffic

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120), pytest.mark.xdist_group("meshratelimit")]

SIDECARS = {"kind": "Mesh", "proxyTypes": ["Sidecar"]}
RATE = {"num": 3, "interval": "1h"}


@pytest.fixture(scope="module")
def cast(shared_plane: planes.Plane) -> Iterator[acting.Cast]:
    with acting.cast(shared_plane, mtls=True) as made:
        yield made


def until_all(client: sidecars.Sidecar, status: int) -> planes.Answer:
    """Waits until every instance answers a client with a status; one of the answers."""

    def answered() -> planes.Answer:
        answers = [traffic.get(client.url("echo")) for _ in range(8)]
        assert {each.status for each in answers} == {status}
        return answers[0]

    return network.until(f"{client.name} gets {status}", answered)


@contextlib.contextmanager
def limits(cast: acting.Cast, **spec: Any) -> Iterator[None]:
    """A MeshRateLimit for the time of the block, and until nobody is refused any more."""
    with cast.mesh.policy("MeshRateLimit", SIDECARS, **spec):
        yield
    for client in (cast.web, cast.job):
        until_all(client, 200)


def limited(**http: Any) -> list[dict[str, Any]]:
    return [{"default": {"local": {"http": {"requestRate": RATE, **http}}}}]


def test_requests_beyond_the_limit_are_told_so(cast: acting.Cast) -> None:
    headers = {"set": [{"name": "x-limited", "value": "yes"}], "add": [{"name": "x-more", "value": "b"}]}
    with limits(cast, rules=limited(onRateLimit={"status": 423, "headers": headers})):
        answer = until_all(cast.web, 423)
        assert (answer.headers["x-limited"], answer.headers["x-more"]) == ("yes", "b")
        for server in (cast.first, cast.second):
            assert server.stat("rate_limit.http_local_rate_limit.ok") == RATE["num"]


def test_the_default_status_is_429(cast: acting.Cast) -> None:
    with limits(cast, from_=[{"targetRef": {"kind": "Mesh"}, **limited()[0]}]):
        until_all(cast.web, 429)


def test_one_client_is_limited_and_another_is_not(cast: acting.Cast) -> None:
    job = {"type": "Exact", "value": f"spiffe://{cast.mesh.name}/job"}
    with limits(cast, rules=[{"matches": [{"spiffeID": job}], **limited()[0]}]):
        until_all(cast.job, 429)
        assert {each.status for each in (traffic.get(cast.web.url("echo")) for _ in range(20))} == {200}


def test_one_client_goes_free_of_the_limit_of_all(cast: acting.Cast) -> None:
    web = {"type": "Prefix", "value": f"spiffe://{cast.mesh.name}/we"}
    free = {"matches": [{"spiffeID": web}], "default": {"local": {"http": {"disabled": True}}}}
    with limits(cast, rules=[*limited(), free]):
        until_all(cast.job, 429)
        assert {each.status for each in (traffic.get(cast.web.url("echo")) for _ in range(20))} == {200}


def test_clients_without_a_certificate_fit_no_rule_about_a_client(cast: acting.Cast) -> None:
    anybody = {"type": "Prefix", "value": f"spiffe://{cast.mesh.name}"}
    cast.mesh.write(mtls=meshes.mtls(mode="PERMISSIVE"))
    try:
        with limits(cast, rules=[{"matches": [{"spiffeID": anybody}], **limited()[0]}]):
            until_all(cast.web, 429)
            assert {traffic.status(cast.first.inbound("echo")) for _ in range(8)} == {200}
    finally:
        cast.mesh.write(mtls=meshes.mtls())


def test_connections_beyond_the_limit_are_closed(cast: acting.Cast) -> None:
    with limits(cast, rules=[{"default": {"local": {"tcp": {"connectionRate": RATE}}}}]):
        network.until("connections are closed", lambda: traffic.tcp(cast.web.url("tcp")) == b"")
        assert traffic.tcp(cast.web.url("tcp")) == b""
        assert cast.first.stat("local_rate_limit.tcp_rate_limit.rate_limited") >= 2
    traffic.until_works("tcp", cast.web.url("tcp"))
