"""What a kind's rules say of a spec, as lines of text that a table of expectations can hold."""

from collections.abc import Mapping
from typing import Any

import yaml

from kuma.base import errors
from kuma.resources import codec
from kuma.resources import kind as kinds
from kuma.resources import resource as res


def stored(kind: kinds.Kind[Any], spec: str, labels: Mapping[str, str] | None = None) -> res.Resource[Any]:
    """The resource that a spec in YAML becomes when it is written: checked against the schema, defaults filled in."""
    head = {"type": kind.name, "mesh": "default", "name": "n", "labels": labels or {}}
    own = yaml.safe_load(spec)
    body = own if kind.envelope is kinds.Envelope.ROOT else {"spec": own}
    return codec.decode(kind, {**body, **head})


def violations(kind: kinds.Kind[Any], spec: str, labels: Mapping[str, str] | None = None) -> list[str]:
    """Every violation as `field: message`: of the schema, or where it holds of the kind's rules."""
    try:
        found = list(kind.validate(stored(kind, spec, labels)))
    except errors.InvalidResource as refusal:
        found = list(refusal.violations)
    return [f"{each.field}: {each.message}" for each in found]


def warnings(kind: kinds.Kind[Any], spec: str) -> list[str]:
    """The deprecations that a spec in YAML makes use of."""
    assert kind.deprecations is not None
    return list(kind.deprecations(stored(kind, spec)))
