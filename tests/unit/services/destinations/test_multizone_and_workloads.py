"""What stands behind a MeshMultiZoneService, and the Workloads of a zone."""

from typing import Any

import pytest

from kuma.resources import resource as res
from kuma.resources.kinds import workload
from kuma.services.destinations import members, multizone, workloads
from tests.kit import destinations as kit

KEY = res.Key("Workload", "m", "job")
JOB = {"kuma.io/workload": "job"}


def several(**wanted: str) -> res.Resource[Any]:
    spec = {"selector": {"meshService": {"matchLabels": wanted}}, "ports": [{"port": 80}]}
    return kit.resource("MeshMultiZoneService", "all", {"spec": spec})


def test_services_with_the_labels_stand_behind_it() -> None:
    found = multizone.with_matches(
        several(app="web"),
        [
            kit.service({}, "web-2", app="web", **{"kuma.io/zone": "b", "kuma.io/display-name": "web"}),
            kit.service({}, "web-1", app="web", **{"kuma.io/zone": "a", "kuma.io/display-name": "web"}),
            kit.service({}, "api", app="api"),
        ],
    ).status
    assert [(each.name, each.zone, each.mesh) for each in found.mesh_services] == [("web", "a", "m"), ("web", "b", "m")]
    (condition,) = found.conditions
    assert (condition.type, condition.status, condition.reason) == ("MeshServicesMatched", "True", "MatchesFound")
    assert condition.message == "Matched 2 MeshService(s)"


def test_nothing_behind_it() -> None:
    first = multizone.with_matches(several(app="web"), [kit.service({}, app="web")])
    (condition,) = multizone.with_matches(first, []).status.conditions
    assert (condition.status, condition.reason) == ("False", "NoMatchesFound")


PROXIES = (
    kit.member("a", kit.inbound(), labels=JOB, connected=True),
    kit.member("b", kit.inbound(state="NotReady"), kit.inbound(port=1), labels=JOB),
    kit.member("c", kit.inbound(state="NotReady"), labels=JOB),
)


def test_a_workload_comes_and_goes_with_its_proxies() -> None:
    made = workloads.desired(KEY, PROXIES, None, "east")
    assert made is not None
    assert made.meta.labels["kuma.io/managed-by"] == "workload-generator"
    assert workloads.desired(KEY, PROXIES, made, "east") is made
    assert workloads.desired(KEY, [], made, "east") is None
    assert workloads.desired(KEY, [], None, "east") is None
    assert workloads.desired(KEY._replace(name="No_Name"), PROXIES, None, "east") is None


def test_its_proxies_are_counted() -> None:
    own = kit.resource("Workload", "job", {"spec": {}})
    status: Any = workloads.with_counts(own, PROXIES).status
    assert status.dataplane_proxies == workload.DataplaneProxies(connected=1, healthy=2, total=3)


def test_workloads_of_others_stay() -> None:
    own = kit.resource("Workload", "job", {"spec": {}})
    assert workloads.desired(KEY, [], own, "east") is own
    distant = kit.resource("Workload", "job", {"spec": {}, "labels": {"kuma.io/origin": "global"}})
    assert workloads.desired(KEY, [], distant, "east") is distant
    assert workloads.with_counts(distant, PROXIES) is distant


@pytest.mark.parametrize(
    ("proxy", "expected"),
    [
        (kit.member("a", kit.inbound(), labels=JOB), "job"),
        (kit.member("a", kit.inbound()), ""),
        (kit.member("a", gateway={"tags": {"kuma.io/service": "edge"}}, labels=JOB), ""),
    ],
)
def test_which_workload(proxy: members.Member, expected: str) -> None:
    assert proxy.workload == expected
