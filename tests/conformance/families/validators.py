"""Family `validators`: decode a spec, run its kind's validator, compare the violations."""

from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from kuma.base import errors
from kuma.legacy_policies.proxytemplate import validate as proxytemplate_rules
from kuma.resources import codec, documents
from kuma.resources import kind as declarations
from tests.conformance import go_yaml, kinds, outcome, violations

_PROFILES = ("default-proxy", "egress-proxy", "ingress-proxy")
"""What a ProxyTemplate can import in these cases: they come from a program without the profile of gateways."""


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case; its file holds the spec and what is expected."""
    kind = kinds.known().find(case["resourceType"])
    if kind is None:
        return outcome.unsupported(f"kind {case['resourceType']} is not known yet")
    detail = yaml.load((folder / f"{case['id']}.yaml").read_text(), yaml.BaseLoader)
    expected = yaml.safe_load((folder / f"{case['id']}.yaml").read_text())["expected"]
    spec = documents.parse_yaml(detail["resource"]) or {}
    head = {"type": kind.name, "name": detail.get("name") or "n"}
    if kind.scope is declarations.Scope.MESH:
        head["mesh"] = "default"
    if kind.envelope is declarations.Envelope.ROOT:
        body = {**spec, **head}
    else:
        body = {**head, "spec": go_yaml.fitted(kind.spec, spec)}
    try:
        resource = codec.decode_unchecked(kind, body)
    except errors.BadRequest as refusal:
        return outcome.failed(f"could not be read: {refusal}")
    with mock.patch.object(proxytemplate_rules, "PROFILES", _PROFILES):
        return violations.compare(expected, kind.validate(resource))
