"""Family `validators_functions`: the rules of targetRefs, of metadata and of JSON patches, called directly."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from kuma.policy_engine.writing import json_patch
from kuma.resources import documents, meta, reader, targetref
from kuma.resources import kind as declarations
from kuma.resources import resource as res
from tests.conformance import outcome, violations


def run(case: dict[str, Any], folder: Path) -> outcome.Outcome:
    """One case; the first part of its id names the function."""
    detail = yaml.safe_load((folder / f"{case['id']}.yaml").read_text())
    function = _FUNCTIONS.get(detail["function"])
    if function is None:
        return outcome.unsupported(f"no equivalent of {detail['function']} yet")
    return function(detail)


def _target_ref(detail: dict[str, Any]) -> outcome.Outcome:
    given = detail["input"]
    opts = given["opts"] or {}
    ref = reader.read_struct(targetref.TargetRef, documents.parse_yaml(given["inputYaml"]) or {}, proto=False)
    allowed = targetref.Allowed(
        kinds=opts.get("SupportedKinds") or (),
        unsupported=opts.get("SupportedKindsError") or "",
        gateway_tags=bool(opts.get("GatewayListenerTagsAllowed")),
        invalid_names=opts.get("AllowedInvalidNames") or (),
        inbound_policy=bool(opts.get("IsInboundPolicy")),
    )
    return violations.compare(detail["expected"], targetref.check(detail.get("root") or "targetRef", ref, allowed))


def _meta(detail: dict[str, Any]) -> outcome.Outcome:
    given = detail["input"]["meta"]
    own = res.Meta(given.get("Mesh") or "", given.get("Name") or "", given.get("Labels") or {})
    scope = declarations.Scope(detail["input"]["scope"])
    return violations.compare(detail["expected"], meta.violations(own, scope))


def _json_patch(detail: dict[str, Any]) -> outcome.Outcome:
    texts = detail["input"]["patchBlocks"]
    blocks = [reader.read_struct(json_patch.Block, documents.parse_yaml(each), proto=False) for each in texts]
    return violations.compare(detail["expected"], json_patch.check(detail.get("root") or "jsonPatches", blocks))


_FUNCTIONS: dict[str, Callable[[dict[str, Any]], outcome.Outcome]] = {
    "ValidateTargetRef": _target_ref,
    "ValidateMeta": _meta,
    "ValidateJsonPatchBlock": _json_patch,
}
