"""Which kinds users may write on which control plane."""

import pytest

from kuma.services.rules import role as roles
from tests.kit import api as kit

CATALOG = kit.known_kinds()


@pytest.mark.parametrize(
    ("kind", "zone", "federated", "global_"),
    [
        ("Mesh", True, False, True),
        ("Dataplane", True, True, False),
        ("Secret", True, True, True),
        ("MeshTrafficPermission", True, True, True),
        ("TrafficPermission", True, False, True),
        ("MeshInsight", False, False, False),
        ("DataplaneInsight", False, False, False),
    ],
)
def test_accepts(kind: str, zone: bool, federated: bool, global_: bool) -> None:
    declared = CATALOG.find(kind)
    assert declared is not None
    assert roles.Role().accepts(declared) is zone
    assert roles.Role(federated=True).accepts(declared) is federated
    assert roles.Role(mode=roles.Mode.GLOBAL).accepts(declared) is global_
    assert not roles.Role(read_only=True).accepts(declared)
