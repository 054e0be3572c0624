"""Rules of a MeshTrafficPermission and warnings about its older half."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshtrafficpermission import model

_TOP_KINDS = ("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset", "Dataplane")
_FROM = targetref.Allowed(("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset"))


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshTrafficPermission."""
    spec: model.MeshTrafficPermission = resource.spec
    if spec.target_ref is not None:
        top = targetref.Allowed(_TOP_KINDS, inbound_policy=bool(spec.rules or spec.from_))
        yield from targetref.check("spec.targetRef", spec.target_ref, top)
    if spec.rules and spec.from_:
        yield Violation("spec", "field 'from' must be empty when 'rules' is defined")
    if not spec.rules and not spec.from_:
        yield Violation("spec", "at least one of 'from' or 'rules' has to be defined")
    for index, entry in enumerate(spec.from_):
        path = f"spec.from[{index}]"
        yield from targetref.check(f"{path}.targetRef", entry.target_ref, _FROM)
        if not entry.default.action:
            yield Violation(f"{path}.default.action", "must be defined")
    for index, rule in enumerate(spec.rules):
        yield from _check_rule(f"spec.rules[{index}]", rule.default)


def _check_rule(path: str, conf: "model.RuleConf") -> Iterator[Violation]:
    lists = (
        ("allow", conf.allow),
        ("allowWithShadowDeny", conf.allow_with_shadow_deny),
        ("deny", conf.deny),
    )
    if not any(matches for _, matches in lists):
        yield Violation(path, "at least one of 'allow', 'allowWithShadowDeny', 'deny' has to be defined")
    for name, matches in lists:
        for index, match in enumerate(matches):
            place = f"{path}.{name}[{index}]"
            if match.spiffe_id is None and match.sni is None:
                yield Violation(place, "must specify at least one of 'spiffeID' or 'sni'")
            yield from targetref.check_match(place, match)


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshTrafficPermission = resource.spec
    if spec.from_:
        yield (
            "'from' field is deprecated and will be removed in 3.0, use 'rules' with MeshIdentity (spiffeId) instead"
        )
    if any(entry.target_ref.kind == "MeshService" for entry in spec.from_):
        yield (
            "MeshService value for 'from[].targetRef.kind' is deprecated, use MeshSubset with 'kuma.io/service' instead"
        )
    yield from targetref.deprecations(spec.target_ref)
