"""Rules of a MeshTCPRoute."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.policy_engine.writing import backends, entries
from kuma.resources import resource as res
from kuma.resources import targetref

if TYPE_CHECKING:
    from kuma.policies.meshtcproute import model

_TO = targetref.Allowed(("MeshService", "MeshExternalService", "MeshMultiZoneService"))
_TO_OF_GATEWAY = targetref.Allowed(("Mesh",))


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshTCPRoute."""
    spec: model.MeshTCPRoute = resource.spec
    yield from entries.check_top(resource, spec.target_ref)
    on_gateway = spec.target_ref is not None and spec.target_ref.kind == "MeshGateway"
    for index, entry in enumerate(spec.to or ()):
        path = f"spec.to[{index}]"
        yield from targetref.check(f"{path}.targetRef", entry.target_ref, _TO_OF_GATEWAY if on_gateway else _TO)
        for number, rule in enumerate(entry.rules or ()):
            yield from _check_conf(f"{path}.rules[{number}].default.backendRefs", rule.default)


def _check_conf(path: str, conf: "model.RuleConf") -> Iterator[Violation]:
    if not conf.backend_refs:
        yield Violation(path, "must be defined")
    for index, backend in enumerate(conf.backend_refs or ()):
        yield from backends.check(f"{path}[{index}]", backend)


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshTCPRoute = resource.spec
    yield from targetref.deprecations(spec.target_ref)
