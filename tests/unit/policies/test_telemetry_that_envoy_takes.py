"""Whatever passes the checks of a policy about telemetry becomes something that Envoy takes, however odd it is."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from google.protobuf import any_pb2, symbol_database
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from kuma.base import errors
from kuma.compiler import render
from kuma.envoy import constraints
from kuma.plan import nodes
from kuma.policies.meshaccesslog import translate as access_log
from kuma.policies.meshmetric import translate as metric
from kuma.policies.meshtrace import translate as trace
from kuma.policy_engine import policy
from tests.kit import policies, rules, telemetry

TEXT = st.sampled_from(["", "a", "%KUMA_MESH% ä", '"', "a b\n"])
NAME = st.sampled_from(["a", "a.b", "%X%"])
FLAG = st.booleans()
URL = st.sampled_from(
    ["http://z.local", "https://z.local:1/a?b", "z.local:99999/c", "http://[fd00::1]:80/", "10.0.0.1:0"]
)
ENDPOINT = st.sampled_from(["c", "c:1", "c:x", "[fd00::1]:1", "c:99999", "10.0.0.1:0"])
OTLP = st.one_of(
    st.fixed_dictionaries({"endpoint": ENDPOINT}), st.sampled_from([telemetry.reference(team=each) for each in "abc"])
)
BACKENDS = [
    telemetry.a_backend("a", {"team": "a"}),
    telemetry.a_backend("b", {"team": "b"}, endpoint={"address": "c", "port": 443, "path": "/p"}, protocol="http"),
]


def some(required: Mapping[str, Any] | None = None, **members: Any) -> Any:
    return st.fixed_dictionaries(dict(required or {}), optional=members)


def a_backend(kind: str, member: str, conf: Any) -> Any:
    return st.fixed_dictionaries({"type": st.just(kind), member: conf})


FORM = st.one_of(
    some({"type": st.just("Plain"), "plain": TEXT}, omitEmptyValues=FLAG),
    some({"type": st.just("Json"), "json": st.lists(some({"key": NAME, "value": NAME}), max_size=2)}),
)
BODY = st.one_of(TEXT, st.sampled_from([{"stringValue": "a"}, {"kvlistValue": {}}, {"a": [1]}, [], 1, True]))
LOGS = st.lists(
    st.one_of(
        a_backend("File", "file", some({"path": st.just("/log")}, format=FORM)),
        a_backend("Tcp", "tcp", some({"address": st.sampled_from(["a:1", "10.0.0.1:99999"])}, format=FORM)),
        a_backend(
            "OpenTelemetry",
            "openTelemetry",
            st.builds(
                lambda where, more: {**where, **more},
                OTLP,
                some(body=BODY, attributes=st.lists(some({"key": st.just("a.b"), "value": TEXT}), max_size=1)),
            ),
        ),
    ),
    max_size=3,
)
TAG = st.one_of(
    some({"name": NAME, "literal": TEXT}),
    some({"name": NAME, "header": some({"name": st.sampled_from(["", "x-a", "ä b"])}, default=TEXT)}),
)
SPANS = some(
    {
        "backends": st.lists(
            st.one_of(
                a_backend("Zipkin", "zipkin", some({"url": URL}, traceId128bit=FLAG, sharedSpanContext=FLAG)),
                a_backend("Datadog", "datadog", some({"url": st.just("http://dd:8126")}, splitService=FLAG)),
                a_backend("OpenTelemetry", "openTelemetry", OTLP),
            ),
            min_size=1,
            max_size=1,
        )
    },
    tags=st.lists(TAG, max_size=2),
    sampling=some(overall=st.sampled_from([0, 100, "0.01"]), random=st.just("33.3")),
)
METRICS = some(
    {
        "backends": st.lists(
            st.one_of(
                a_backend(
                    "Prometheus",
                    "prometheus",
                    some(
                        clientId=TEXT,
                        port=st.sampled_from([1, 65535]),
                        path=st.sampled_from(["", "/", "m", "/a b"]),
                        tls=some({"mode": st.sampled_from(["Disabled", "ProvidedTLS", "ActiveMTLSBackend"])}),
                    ),
                ),
                a_backend("OpenTelemetry", "openTelemetry", OTLP),
            ),
            max_size=3,
        )
    },
    applications=st.lists(some({"port": st.just(1)}, name=TEXT, path=TEXT, address=TEXT), max_size=2),
)
SPECS: Mapping[str, tuple[policy.Policy, Any]] = {
    "MeshAccessLog": (
        access_log.POLICY,
        st.builds(lambda conf: {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"backends": conf}}]}, LOGS),
    ),
    "MeshTrace": (trace.POLICY, st.builds(lambda conf: {"default": conf}, SPANS)),
    "MeshMetric": (metric.POLICY, st.builds(lambda conf: {"default": conf}, METRICS)),
}


def is_accepted(speaker: policy.Policy, spec: dict[str, Any]) -> bool:
    """Whether a control plane would store it."""
    try:
        return not rules.violations(speaker.kind, json.dumps(spec))
    except errors.BadRequest:
        return False


def violations(message: Any) -> Iterator[str]:
    """What Envoy would object to in a message and in all that is packed in it."""
    yield constraints.first_violation(message)
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
        else:
            inner = list(value) if field.is_repeated else [value]
        for each in inner:
            if isinstance(each, any_pb2.Any):
                packed = symbol_database.Default().GetSymbol(each.type_url.rpartition("/")[2])
                yield from violations(packed.FromString(each.value))
            else:
                yield from violations(each)


@pytest.mark.parametrize("kind", SPECS)
@given(data=st.data(), protocol=st.sampled_from([telemetry.HTTP, telemetry.TCP]), has_pipe=FLAG, unified=FLAG)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_what_is_accepted_reaches_envoy(
    kind: str, data: st.DataObject, protocol: nodes.Protocol, has_pipe: bool, unified: bool
) -> None:
    speaker, specs = SPECS[kind]
    spec = data.draw(specs)
    assume(is_accepted(speaker, spec))
    pair = {"metricsCertPath": "/c", "metricsKeyPath": "/k", "systemCaPath": "/roots"}
    metadata = {**pair, **(telemetry.PIPE if has_pipe else {})}
    stage = telemetry.Stage(
        speaker, policies.a_policy(kind, "p", **spec), metadata=metadata, backends=BACKENDS, unified=unified
    )
    outbound, inbound = stage.outbound(protocol, target=telemetry.API), stage.inbound(protocol)
    for chain in (*outbound.listener.chains, *inbound.listener.chains):  # the compiler names routes and statistics
        (chain.http or chain.tcp).stat_prefix = "s"
        if chain.http is not None:
            chain.http.route_config.name = "r"
        else:
            chain.tcp.cluster = "c"
    plan = stage.plan(inbounds=[inbound])
    listeners = [outbound.listener, inbound.listener, *plan.listeners]
    found = [each for node in listeners for each in violations(render.listener(node))]
    found += [each for node in plan.clusters for each in violations(render.cluster(node))]
    assert {each for each in found if each} == set()
    assert all(json.loads(each) for each in plan.documents.values())
    names = [each.name for each in (*plan.listeners, *plan.clusters)]
    assert all(names)
