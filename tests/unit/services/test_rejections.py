"""Which resources Envoy's rejections are about. The messages are Envoy's."""

import pytest

from kuma.resources import resource as res
from kuma.services.proxies import rejections

NAMES = ["api", "api-2", "inbound:127.0.0.1:80", "inbound:127.0.0.1:8080", "kuma:envoy:admin", "a"]


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Error adding/updating cluster(s) api: no such thing", ["api"]),
        ("Error adding/updating cluster(s) api-2: bad, api: worse", ["api-2", "api"]),
        (
            "Error adding/updating listener(s) inbound:127.0.0.1:8080: cannot bind '127.0.0.1:8080'\n"
            "inbound:127.0.0.1:80: error: a filter",
            ["inbound:127.0.0.1:8080", "inbound:127.0.0.1:80"],
        ),
        (
            "Error adding/updating listener(s) kuma:envoy:admin: Proto constraint validation failed",
            ["kuma:envoy:admin"],
        ),
        ("duplicate cluster api found", ["api"]),
        ("Unexpected EDS cluster (expecting api-2): other", ["api-2"]),
        ("Proto constraint validation failed (ClusterValidationError.Name: value length must be at least 1)", []),
        ("", []),
    ],
)
def test_names(message, found):
    assert rejections.names_in(message, NAMES) == found


def test_authors_are_named_once():
    error = rejections.describe("Error adding/updating cluster(s) api: x, api-2: y", NAMES, lambda _: ())
    assert (error.resource, error.kri) == ("api, api-2", "")


DP = res.ResourceRef("Dataplane", "m", "d", kri="kri_dp")
MESH = res.ResourceRef("Mesh", "", "m", kri="kri_m")
POLICY = res.ResourceRef("MeshTrafficPermission", "m", "p", 0, "kri_mtp")
LEGACY = res.ResourceRef("TrafficPermission", "m", "p")


@pytest.mark.parametrize(
    ("authors", "kri"),
    [
        ((DP, MESH), "kri_dp"),
        ((DP, MESH, POLICY), "kri_mtp"),
        ((DP, MESH, POLICY, LEGACY), "kri_mtp"),
        ((MESH,), "kri_m"),
        ((), ""),
    ],
)
def test_who_is_to_blame(authors, kri):
    error = rejections.describe("Error adding/updating cluster(s) api: x", NAMES, lambda _: authors)
    assert error.kri == kri


def test_an_address_that_cannot_be_used_is_the_fault_of_the_dataplane():
    message = "Error adding/updating listener(s) a: cannot bind '10.0.0.1:80': in use\ninbound:127.0.0.1:80: bad filter"
    error = rejections.describe(message, NAMES, lambda _: (MESH, POLICY), "kri_own")
    assert error.kri == "kri_own, kri_mtp"
