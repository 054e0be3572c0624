"""Merging messages: parts of a whole that users wrote."""

import pytest

from kuma.envoy import api, merge, written

CLUSTER = "envoy.config.cluster.v3.Cluster"


def cluster(**fields: object) -> api.Message:
    return written.read(CLUSTER, fields, whole=False)


@pytest.mark.parametrize(
    ("whole", "part", "expected"),
    [
        ({"name": "a"}, {"type": "EDS"}, {"name": "a", "type": "EDS"}),
        ({"name": "a"}, {"name": "b"}, {"name": "b"}),
        ({"connectTimeout": "10.5s"}, {"connectTimeout": "5s"}, {"connectTimeout": "5s"}),
        ({"connectTimeout": "10s"}, {"connectTimeout": "0s"}, {"connectTimeout": "0s"}),
        ({"respectDnsTtl": True}, {}, {"respectDnsTtl": True}),
        (
            {"outlierDetection": {"consecutive5xx": 5, "maxEjectionPercent": 10}},
            {"outlierDetection": {"consecutive5xx": 0}},
            {"outlierDetection": {"consecutive5xx": 0, "maxEjectionPercent": 10}},
        ),
        ({"filters": [{"name": "a"}]}, {"filters": [{"name": "b"}]}, {"filters": [{"name": "a"}, {"name": "b"}]}),
        (
            {"metadata": {"filterMetadata": {"a": {"x": 1.0}, "b": {"y": 1.0}}}},
            {"metadata": {"filterMetadata": {"a": {"z": 2.0}}}},
            {"metadata": {"filterMetadata": {"a": {"z": 2.0}, "b": {"y": 1.0}}}},
        ),
        ({}, {"httpProtocolOptions": {}}, {"httpProtocolOptions": {}}),
    ],
)
def test_fields(whole: dict[str, object], part: dict[str, object], expected: dict[str, object]) -> None:
    into, patch = cluster(**whole), cluster(**part)
    merge.merge(into, patch)
    assert written.as_document(into) == expected
    assert patch == cluster(**part)


def test_packed_messages_merge_if_they_are_of_one_type() -> None:
    into = api.pack(api.TcpProxy(stat_prefix="a", cluster="b"))
    merge.merge_packed(into, api.pack(api.TcpProxy(cluster="c")))
    assert written.unpack(into) == api.TcpProxy(stat_prefix="a", cluster="c")
    merge.merge_packed(into, api.AnyMessage())
    assert written.unpack(into) == api.TcpProxy(stat_prefix="a", cluster="c")
    with pytest.raises(ValueError, match=r"it is a envoy.*TcpProxy, the value is a envoy.*Router"):
        merge.merge_packed(into, api.pack(api.Router()))


def test_what_is_not_there_is_set() -> None:
    into = api.AnyMessage()
    merge.merge_packed(into, api.pack(api.TcpProxy(cluster="c")))
    assert written.unpack(into) == api.TcpProxy(cluster="c")
