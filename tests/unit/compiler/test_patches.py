"""Which changes find something in the configuration of a proxy, one row a rule."""

import pytest

from kuma.compiler import patches
from kuma.plan import proxy
from kuma.policies.meshproxypatch import translate
from kuma.policy_engine import modifications
from kuma.resources import codec
from kuma.services.proxies import inspection
from tests.kit import worlds

ON, DO = modifications.Target, modifications.Operation
HTTP = (("kuma.io/service", "web"),)
ROUTER = "envoy.filters.http.router"
MANAGER = "envoy.filters.network.http_connection_manager"


def trial() -> patches.Trial:
    web = worlds.a_dataplane("web", "web", outbounds={"db": 5432})
    db = worlds.a_dataplane("db", "db", address="192.168.0.2", protocol="tcp")
    picture = worlds.world([worlds.a_mesh(), web, db]).meshes["m"]
    policies = [*worlds.POLICIES, translate.POLICY]
    return patches.Trial(policies, picture, inspection.ISSUED, inspection.NO_CERTIFICATE)


def met(name: str, made: patches.Trial) -> tuple[patches.Finished, ...]:
    return made.at(proxy.facts_of(made.picture.dataplanes[name], {}))


@pytest.mark.parametrize(
    ("target", "operation", "match", "is_found"),
    [
        (ON.CLUSTER, DO.PATCH, {}, True),
        (ON.CLUSTER, DO.PATCH, {"name": "db"}, True),
        (ON.CLUSTER, DO.REMOVE, {"name": "localhost:80"}, True),
        (ON.CLUSTER, DO.REMOVE, {"name": "web"}, False),
        (ON.CLUSTER, DO.PATCH, {"name": "db", "origin": "outbound"}, True),
        (ON.CLUSTER, DO.PATCH, {"name": "db", "origin": "inbound"}, False),
        (ON.CLUSTER, DO.ADD, {"name": "web"}, True),
        (ON.LISTENER, DO.PATCH, {"name": "inbound:192.168.0.1:8080"}, True),
        (ON.LISTENER, DO.PATCH, {"name": "db"}, False),
        (ON.LISTENER, DO.PATCH, {"tags": HTTP}, True),
        (ON.LISTENER, DO.PATCH, {"tags": (("kuma.io/service", "none"),)}, False),
        (ON.NETWORK_FILTER, DO.ADD_FIRST, {}, True),
        (ON.NETWORK_FILTER, DO.ADD_FIRST, {"listener": "none"}, False),
        (ON.NETWORK_FILTER, DO.PATCH, {"name": MANAGER}, True),
        (ON.NETWORK_FILTER, DO.PATCH, {"name": MANAGER, "origin": "outbound"}, False),
        (ON.NETWORK_FILTER, DO.REMOVE, {"name": ROUTER}, False),
        (ON.HTTP_FILTER, DO.ADD_BEFORE, {"name": ROUTER}, True),
        (ON.HTTP_FILTER, DO.ADD_AFTER, {"name": "none"}, False),
        (ON.HTTP_FILTER, DO.ADD_LAST, {"origin": "outbound"}, False),  # the only outbound is one of TCP
        (ON.VIRTUAL_HOST, DO.PATCH, {}, True),
        (ON.VIRTUAL_HOST, DO.PATCH, {"name": "web"}, True),
        (ON.VIRTUAL_HOST, DO.REMOVE, {"name": "none"}, False),
        (ON.VIRTUAL_HOST, DO.ADD, {"route_configuration": "inbound:web"}, True),
        (ON.VIRTUAL_HOST, DO.ADD, {"route_configuration": "none"}, False),
    ],
)
def test_what_a_change_finds(
    target: modifications.Target, operation: modifications.Operation, match: dict[str, object], is_found: bool
) -> None:
    change = modifications.Modification(target, operation, modifications.Match(**match))  # type: ignore[arg-type]
    assert patches.unmatched([change], met("web", trial())) == ([] if is_found else [change])


def test_each_proxy_has_its_own_and_is_compiled_once() -> None:
    made = trial()
    names = {each.message.name for each in met("db", made)}
    assert "localhost:80" in names
    assert not names & {"db", "inbound:192.168.0.1:8080"}
    assert met("db", made) is met("db", made)


def test_what_patches_add_is_there_for_others() -> None:
    change = modifications.Modification(
        ON.CLUSTER, DO.PATCH, modifications.Match(name="new", origin="mesh-proxy-patch")
    )
    value = "name: new\nconnectTimeout: 1s"
    written = {"appendModifications": [{"cluster": {"operation": "Add", "value": value}}]}
    kind = translate.POLICY.kind
    document = {"type": kind.name, "mesh": "m", "name": "p", "spec": {"default": written}}
    unreadable = {"appendModifications": [{"cluster": {"operation": "Add", "value": "name: [new"}}]}
    both = [codec.decode(kind, each) for each in (document, {**document, "spec": {"default": unreadable}})]
    added = patches.added(translate.POLICY, both)
    assert patches.unmatched([change], added) == []
    assert patches.unmatched([change], met("web", trial())) == [change]
