"""Whatever a spec holds survives printing and reading, in both forms."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kuma.legacy_policies import discovery as legacy
from kuma.policies import discovery as policies
from kuma.resources import builtin, codec
from kuma.resources import kind as kinds
from kuma.resources import resource as res
from tests.unit.resources import strategies

KINDS = builtin.CORE_KINDS + policies.kinds() + legacy.kinds()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(chance=st.data())
def test_specs_read_back(kind: kinds.Kind[Any], chance: st.DataObject) -> None:
    spec = chance.draw(strategies.specs(kind.spec))
    mesh = "default" if kind.scope is kinds.Scope.MESH else ""
    status = kind.status() if kind.status is not None else None
    resource = res.Resource(kind, res.Meta(mesh, "some-name", {"team": "a"}), spec, status)

    assert codec.spec_from_json(kind, codec.spec_to_json(resource)) == spec
    document = codec.encode(resource)
    assert codec.decode_unchecked(kind, document) == resource
    assert json.loads(codec.encode_json(resource)) == json.loads(json.dumps(document, default=str))
