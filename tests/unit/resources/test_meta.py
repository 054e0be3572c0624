"""Rules of names, mesh names and labels."""

from typing import Any

import pytest

from kuma.resources import kind as kinds
from kuma.resources import meta
from kuma.resources import resource as res


@pytest.mark.parametrize(
    ("mesh", "name", "expected"),
    [
        ("default", "web-1", []),
        ("mesh_1.x", "a.b.c", []),
        ("default", "", [("name", "cannot be empty")]),
        ("default", "Web", [("name", meta.BAD_NAME)]),
        ("default", "two..dots", [("name", meta.BAD_NAME)]),
        ("default", "a" * 254, [("name", "value length must less or equal 253")]),
        ("", "web", [("mesh", "cannot be empty")]),
        ("Mesh", "web", [("mesh", "invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_', '.' symbols.")]),
    ],
)  # fmt: skip
def test_names(mesh: str, name: str, expected: list[tuple[str, str]]) -> None:
    found = meta.violations(res.Meta(mesh, name), kinds.Scope.MESH)
    assert [(each.field, each.message) for each in found] == expected


def test_global_kinds_need_no_mesh() -> None:
    assert list(meta.violations(res.Meta("", "m"), kinds.Scope.GLOBAL)) == []


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("a/b/c", "x", "a valid label key must consist of"),
        ("/x", "x", "prefix part must be non-empty"),
        ("Ex.com/x", "x", "prefix part a lowercase RFC 1123 subdomain"),
        ("x/", "x", "name part must be non-empty"),
        ("k" * 64, "x", "name part must be no more than 63 bytes"),
        ("-k", "x", "name part must consist of alphanumeric characters"),
        ("k", "v" * 64, "must be no more than 63 bytes"),
        ("k", "no spaces", "a valid label must be an empty string or consist of"),
    ],
)
def test_label_rules(key: str, value: str, reason: str) -> None:
    found = list(meta.check_labels({key: value}))
    assert found[0].field == f'labels["{key}"]'
    assert found[0].message.startswith(reason)


@pytest.mark.parametrize(
    "label",
    [
        ("kuma.io/zone", "east"),
        ("team", ""),
        ("a.b/C_d", "X_1.y"),
        ("kuma.io/deletion-grace-period-started-at", "2026-01-01T00:00:00.5Z"),
    ],
)
def test_labels_that_are_fine(label: tuple[str, str]) -> None:
    assert list(meta.check_labels(dict([label]))) == []


ZONE: dict[str, Any] = {"mesh": "m", "zone": "east", "is_global": False, "is_federated": False, "new_style": True}


@pytest.mark.parametrize(
    ("given", "role", "field", "message"),
    [
        ({"kuma.io/origin": "moon"}, {}, "kuma.io/origin", 'unknown resource origin "moon"'),
        ({"kuma.io/origin": "zone"}, {"is_global": True}, "kuma.io/origin", "the origin label must be set to 'global'"),
        ({}, {"is_federated": True}, "kuma.io/origin", "the origin label must be set to 'zone'"),
        ({"kuma.io/zone": "west"}, {}, "kuma.io/zone", "kuma.io/zone label should have east value"),
        ({"kuma.io/mesh": "x"}, {}, "kuma.io/mesh", "kuma.io/mesh label must not differ from mesh set on resource"),
    ],
)
def test_origin_rules(given: dict[str, str], role: dict[str, bool], field: str, message: str) -> None:
    found = [(each.field, each.message) for each in meta.check_origin(given, **{**ZONE, **role})]
    assert found == [(f'labels["{field}"]', message)]


@pytest.mark.parametrize(
    ("given", "role"),
    [
        ({"kuma.io/origin": "zone", "kuma.io/zone": "east", "kuma.io/mesh": "m"}, {"is_federated": True}),
        ({"kuma.io/origin": "global", "kuma.io/zone": "west"}, {}),
        ({}, {"is_global": True}),
        ({}, {"is_federated": True, "new_style": False}),
    ],
)
def test_origins_that_are_fine(given: dict[str, str], role: dict[str, bool]) -> None:
    assert list(meta.check_origin(given, **{**ZONE, **role})) == []


@pytest.mark.parametrize(
    ("after", "message"),
    [
        ({}, 'is immutable, cannot be removed (was "east")'),
        ({"kuma.io/zone": "west"}, 'is immutable, cannot be changed from "east" to "west"'),
    ],
)
def test_the_zone_of_a_resource_stays(after: dict[str, str], message: str) -> None:
    (found,) = meta.check_label_change({"kuma.io/zone": "east", "team": "a"}, after)
    assert (found.field, found.message) == ('labels["kuma.io/zone"]', message)


def test_names_that_are_no_dns_label_are_warned_about() -> None:
    (warning,) = meta.name_warnings("Mesh", "1st")
    assert warning.startswith("Invalid Mesh resource name: '1st'. It does not conform to the DNS format (RFC 1035).")
    assert list(meta.name_warnings("Dataplane", "1st")) == []
    assert list(meta.name_warnings("Mesh", "first")) == []
