"""Resources as documents: envelopes, key order, proto JSON's freedoms, and what is refused in which words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from kuma.base import errors
from kuma.policies.meshtrafficpermission import model as mtp
from kuma.resources import codec, values
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from kuma.resources.kinds import config, dataplane, dataplaneinsight, mesh, secret


def decode(kind: kinds.Kind[Any], **document: Any) -> Any:
    return codec.decode(kind, {"type": kind.name, "mesh": "default", "name": "n", **document}).spec


def test_old_kinds_hold_their_fields_at_the_root_in_kumas_order() -> None:
    meta = res.Meta("default", "dp", {"b": "2", "a": "1"}, datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC))
    spec = dataplane.Dataplane(dataplane.Networking(address="1.2.3.4"))

    text = codec.encode_json(res.Resource(dataplane.KIND, meta, spec)).decode()

    assert text == (
        '{"type":"Dataplane","mesh":"default","name":"dp","creationTime":"2026-01-02T03:04:05.678Z",'
        '"modificationTime":"0001-01-01T00:00:00Z","labels":{"a":"1","b":"2"},"kri":"kri_dp_default___dp_",'
        '"networking":{"address":"1.2.3.4"}}'
    )


def test_new_kinds_nest_their_spec() -> None:
    spec = mtp.MeshTrafficPermission(from_=(mtp.From(mtp.targetref.MESH, mtp.FromConf("Allow")),))
    meta = res.Meta("default", "all", {"kuma.io/zone": "east"})

    document = codec.encode(res.Resource(mtp.KIND, meta, spec))

    assert list(document) == ["type", "mesh", "name", "creationTime", "modificationTime", "labels", "kri", "spec"]
    assert document["kri"] == "kri_mtp_default_east__all_"
    assert json.loads(json.dumps(document["spec"])) == {
        "from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]
    }


def test_global_kinds_have_no_mesh_and_kinds_without_a_short_name_no_kri() -> None:
    document = codec.encode(res.Resource(secret.GLOBAL_KIND, res.Meta("", "s"), secret.Secret(b"test")))
    assert list(document) == ["type", "name", "creationTime", "modificationTime", "data"]
    assert document["data"] == "dGVzdA=="


def test_64_bit_counters_are_strings_and_zero_ones_absent() -> None:
    stats = dataplaneinsight.DiscoveryServiceStats(responses_sent=2**63)
    status = dataplaneinsight.DiscoverySubscriptionStatus(lds=stats, rds=dataplaneinsight.DiscoveryServiceStats())
    spec = dataplaneinsight.DataplaneInsight((dataplaneinsight.DiscoverySubscription("1", status=status),))

    printed = json.loads(json.dumps(codec.encode_spec(spec)))

    assert printed["subscriptions"][0]["status"] == {"lds": {"responsesSent": "9223372036854775808"}, "rds": {}}


@pytest.mark.parametrize(
    ("kind", "document", "expected"),
    [
        (dataplane.KIND, {"networking": {"advertised_address": "1.1.1.1"}}, {"networking": {"advertisedAddress": "1.1.1.1"}}),
        (dataplane.KIND, {"networking": {"inbound": [{"port": "80"}]}}, {"networking": {"inbound": [{"port": 80}]}}),
        (dataplane.KIND, {"networking": {"inbound": [{"port": 80.0}]}}, {"networking": {"inbound": [{"port": 80}]}}),
        (dataplane.KIND, {"networking": {"inbound": [{"state": 1}]}}, {"networking": {"inbound": [{"state": "NotReady"}]}}),
        (dataplane.KIND, {"networking": {"inbound": [None]}}, {"networking": {"inbound": [{}]}}),
        (dataplane.KIND, {"networking": {"gateway": {"tags": {"a": None}}}}, {"networking": {"gateway": {"tags": {"a": ""}}}}),
        (dataplane.KIND, {"networking": {"gateway": {"type": "DELEGATED"}}}, {"networking": {"gateway": {}}}),
        (dataplane.KIND, {"networking": None, "unknown": {"x": 1}}, {}),
        (mesh.KIND, {"mtls": {"backends": [{"dpCert": {"requestTimeout": "1m"}}]}}, {"mtls": {"backends": [{"dpCert": {"requestTimeout": "60s"}}]}}),
        (mesh.KIND, {"metrics": {"backends": [{"conf": {"port": 5670.0}}]}}, {"metrics": {"backends": [{"conf": {"port": 5670}}]}}),
        (mesh.KIND, {"networking": {"outbound": {"passthrough": False}}}, {"networking": {"outbound": {"passthrough": False}}}),
        (mesh.KIND, {"routing": {"zoneEgress": False}}, {"routing": {}}),
        (config.KIND, {"config": ""}, {}),
    ],
)  # fmt: skip
def test_proto_json_is_read_freely_and_printed_strictly(
    kind: kinds.Kind[Any], document: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert json.loads(json.dumps(codec.encode_spec(decode(kind, **document)))) == expected


@pytest.mark.parametrize(
    ("kind", "document", "reason", "field"),
    [
        (mesh.KIND, {"mtls": "text"}, "json: cannot unmarshal string into Go value of type map[string]json.RawMessage", "mtls"),
        (mesh.KIND, {"mtls": {"backends": {}}}, "json: cannot unmarshal object into Go value of type []json.RawMessage", "mtls.backends"),
        (mesh.KIND, {"meshServices": {"mode": "X"}}, 'unknown value "\\"X\\"" for enum kuma.mesh.v1alpha1.Mesh.MeshServices.Mode', "meshServices.mode"),
        (mesh.KIND, {"mtls": {"backends": [{"rootChain": {"requestTimeout": "abc"}}]}}, 'bad Duration: time: invalid duration "abc"', "mtls.backends[0].rootChain.requestTimeout"),
        (dataplane.KIND, {"networking": {"inbound": [{}, {"port": -1}]}}, "json: cannot unmarshal number -1 into Go value of type uint32", "networking.inbound[1].port"),
        (dataplane.KIND, {"networking": {"inbound": [{"port": "x"}]}}, "invalid character 'x' looking for beginning of value", "networking.inbound[0].port"),
        (dataplane.KIND, {"networking": {"inbound": [{"tags": {"v": 1}}]}}, "json: cannot unmarshal number into Go value of type string", 'networking.inbound[0].tags["v"]'),
        (dataplane.KIND, {"networking": {"inbound": [{"health": {"ready": "yes"}}]}}, "json: cannot unmarshal string into Go value of type bool", "networking.inbound[0].health.ready"),
        (secret.KIND, {"data": "%%%"}, "illegal base64 data at input byte 0", "data"),
        (dataplaneinsight.KIND, {"subscriptions": [{"connectTime": "now"}]}, "bad Timestamp: parsing time", "subscriptions[0].connectTime"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_names_the_reason_and_the_field(
    kind: kinds.Kind[Any], document: dict[str, Any], reason: str, field: str
) -> None:
    with pytest.raises(errors.BadRequest) as refusal:
        decode(kind, **document)
    unquoted = json.loads(str(refusal.value).removeprefix(f"invalid {kind.name} object: "))
    assert unquoted.startswith(reason)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        ({"name": 5}, "json: cannot unmarshal number into Go struct field ResourceMeta.name of type string"),
        ({"labels": "x"}, "json: cannot unmarshal string into Go struct field ResourceMeta.labels of type map[string]string"),
        ({"labels": {"a": 1}}, "json: cannot unmarshal number into Go struct field ResourceMeta.labels of type string"),
        ({"creationTime": "soon"}, 'parsing time "soon"'),
    ],
)  # fmt: skip
def test_bad_metadata_is_refused(part: dict[str, Any], reason: str) -> None:
    with pytest.raises(errors.BadRequest) as refusal:
        decode(mesh.KIND, **part)
    assert json.loads(str(refusal.value).removeprefix("invalid Mesh object: ")).startswith(reason)


def test_secrets_do_not_show_their_bytes() -> None:
    assert "hush" not in repr(decode(secret.KIND, data="aHVzaA=="))


def test_equal_outbounds_of_many_dataplanes_are_one_object() -> None:
    document = {"networking": {"outbound": [{"port": 1, "tags": {"kuma.io/service": "x"}}]}}
    one, other = decode(dataplane.KIND, **document), decode(dataplane.KIND, **document)
    assert one.networking.outbound[0] is other.networking.outbound[0]


def test_durations_compare_by_length_and_kind() -> None:
    assert values.GoDuration(5) == values.GoDuration(5)
    assert values.GoDuration(5) < values.GoDuration(6)
    assert values.GoDuration(5) != values.ProtoDuration(5)
    with pytest.raises(AttributeError):
        values.GoDuration(5).nanoseconds = 6


def test_bottomless_documents_are_refused() -> None:
    conf: dict[str, Any] = {}
    for _ in range(5_000):
        conf = {"x": conf}
    with pytest.raises(errors.BadRequest, match="exceeded max depth"):
        decode(mesh.KIND, logging={"backends": [{"name": "f", "type": "file", "conf": conf}]})
