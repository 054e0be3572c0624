"""Whatever passes the checks of a policy becomes something that Envoy takes: one bad field costs a whole resource."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kuma.base import errors
from kuma.envoy import api, constraints
from kuma.policies.meshcircuitbreaker import translate as circuit_breaker
from kuma.policies.meshhealthcheck import translate as health_check
from kuma.policies.meshretry import translate as retry
from kuma.policies.meshtimeout import translate as timeout
from kuma.policy_engine import policy
from tests.kit import policies, rules, translated

DURATION = st.sampled_from(["1ns", "1ms", "1s", "2h45m"])
ANY_DURATION = st.sampled_from(["-1s", "0s", "1ns", "1ms", "1s"])
COUNT = st.sampled_from([1, 100])
LARGE = st.sampled_from([0, 1, 2**32 - 1])
PERCENT = st.sampled_from([0, 50, 100, "33.3", "1e-3"])
FACTOR = st.sampled_from([1, "0.0001", "1e30", 2**31 - 1])
TEXT = st.sampled_from(["", "a", "/a b", "ä", "[", "(?=a)", "a.*"])
FLAG = st.booleans()


def some(**members: Any) -> Any:
    return st.fixed_dictionaries({}, optional=members)


HEADERS = st.lists(
    some(name=st.just("x-a"), value=TEXT, type=st.sampled_from(["Exact", "Prefix", "RegularExpression", "Absent"])),
    max_size=2,
)
REQUESTS = {
    "numRetries": LARGE,
    "perTryTimeout": ANY_DURATION,
    "backOff": some(baseInterval=ANY_DURATION, maxInterval=ANY_DURATION),
    "rateLimitedBackOff": some(
        maxInterval=DURATION,
        resetHeaders=st.lists(st.just({"name": "x-a", "format": "Seconds"}), max_size=2),
    ),
}
CONFS: Mapping[str, tuple[policy.Policy, Any]] = {
    "MeshTimeout": (
        timeout.POLICY,
        some(
            connectionTimeout=DURATION,
            idleTimeout=DURATION,
            http=some(
                requestTimeout=DURATION,
                streamIdleTimeout=DURATION,
                maxStreamDuration=DURATION,
                maxConnectionDuration=DURATION,
                requestHeadersTimeout=DURATION,
            ),
        ),
    ),
    "MeshRetry": (
        retry.POLICY,
        some(
            http=some(
                **REQUESTS,
                retryOn=st.lists(st.sampled_from(["5xx", "429", "HttpMethodGet"]), max_size=3),
                retriableRequestHeaders=HEADERS,
                retriableResponseHeaders=HEADERS,
                hostSelection=st.lists(
                    st.fixed_dictionaries(
                        {
                            "predicate": st.sampled_from(
                                ["OmitPreviousHosts", "OmitHostsWithTags", "OmitPreviousPriorities"]
                            )
                        },
                        optional={"tags": st.dictionaries(TEXT, TEXT, max_size=2), "updateFrequency": COUNT},
                    ),
                    max_size=2,
                ),
            ),
            grpc=some(**REQUESTS, retryOn=st.lists(st.just("Canceled"), max_size=1)),
            tcp=some(maxConnectAttempt=LARGE),
        ),
    ),
    "MeshCircuitBreaker": (
        circuit_breaker.POLICY,
        some(
            connectionLimits=some(maxConnections=LARGE, maxRetries=LARGE),
            outlierDetection=some(
                interval=DURATION,
                baseEjectionTime=DURATION,
                maxEjectionPercent=COUNT,
                healthyPanicThreshold=PERCENT,
                detectors=some(
                    totalFailures=some(consecutive=COUNT),
                    successRate=some(minimumHosts=COUNT, requestVolume=COUNT, standardDeviationFactor=FACTOR),
                    failurePercentage=some(minimumHosts=COUNT, threshold=COUNT),
                ),
            ),
        ),
    ),
    "MeshHealthCheck": (
        health_check.POLICY,
        some(
            interval=DURATION,
            timeout=DURATION,
            unhealthyThreshold=COUNT,
            initialJitter=DURATION,
            intervalJitterPercent=COUNT,
            noTrafficInterval=DURATION,
            healthyPanicThreshold=PERCENT,
            failTrafficOnPanic=FLAG,
            http=some(
                disabled=FLAG,
                path=st.sampled_from(["/a b", "a"]),
                expectedStatuses=st.lists(st.sampled_from([100, 599]), max_size=2),
                requestHeadersToAdd=some(
                    add=st.lists(st.fixed_dictionaries({"name": st.just("x-a"), "value": TEXT}), max_size=1)
                ),
            ),
            tcp=some(disabled=FLAG, send=TEXT, receive=st.lists(TEXT, max_size=2)),
            grpc=some(disabled=FLAG, serviceName=TEXT, authority=TEXT),
        ),
    ),
}


def is_accepted(speaker: policy.Policy, spec: dict[str, Any]) -> bool:
    """Whether a control plane would store it."""
    try:
        return not rules.violations(speaker.kind, json.dumps(spec))
    except errors.BadRequest:
        return False


@pytest.mark.parametrize("kind", CONFS)
@given(data=st.data(), protocol=st.sampled_from(["http", "http2", "grpc", "tcp"]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_what_is_accepted_reaches_envoy(kind: str, data: st.DataObject, protocol: str) -> None:
    speaker, confs = CONFS[kind]
    entry = {"targetRef": {"kind": "Mesh"}, "default": data.draw(confs)}
    assume(is_accepted(speaker, {"to": [entry]}))
    client = translated.Client(speaker, policies.a_policy(kind, "p", to=[entry]), protocol=protocol)
    assert constraints.first_violation(json_format.ParseDict(client.cluster(), api.Cluster())) == ""
    chain = client.chain()
    assert constraints.first_violation(chain.tcp if chain.http is None else chain.http) == ""
    if protocol != "tcp":
        assert constraints.first_violation(json_format.ParseDict(client.route(), api.Route().route)) == ""
