"""Rules of a MeshMetric and warnings about its older parts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import regexes
from kuma.base.errors import Violation
from kuma.policy_engine.writing import entries, otel
from kuma.resources import addresses, targetref
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.policies.meshmetric import model

PROFILES = ("All", "Basic", "None")
"""Ready-made choices among Envoy's metrics."""

SELECTORS = ("Prefix", "Regex", "Exact", "Contains")
"""How the name of a metric is compared."""

_BAD_PORT = "port must be a valid (1-65535)"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshMetric. The names `application` and `backend` in paths are those that Kuma prints."""
    spec: model.MeshMetric = resource.spec
    yield from entries.check_top(resource, spec.target_ref)
    conf = spec.default
    if conf.sidecar is not None and conf.sidecar.profiles is not None:
        yield from _check_profiles("spec.default.sidecar.profiles", conf.sidecar.profiles)
    for index, application in enumerate(conf.applications or ()):
        if not addresses.is_port(application.port):
            yield Violation(f"spec.default.applications.application[{index}]", _BAD_PORT)
    for index, backend in enumerate(conf.backends or ()):
        yield from _check_backend(f"spec.default.backends.backend[{index}]", backend)


def _check_profiles(path: str, profiles: "model.Profiles") -> Iterator[Violation]:
    for index, profile in enumerate(profiles.append_profiles or ()):
        if profile.name not in PROFILES:
            reason = f"unrecognized profile name '{profile.name}' - 'All', 'None', 'Basic' are supported"
            yield Violation(f"{path}.appendProfiles[{index}].name", reason)
    for name, selectors in (("exclude", profiles.exclude), ("include", profiles.include)):
        for index, selector in enumerate(selectors or ()):
            yield from _check_selector(f"{path}.{name}[{index}]", selector)


def _check_selector(path: str, selector: "model.Selector") -> Iterator[Violation]:
    if selector.type not in SELECTORS:
        reason = f"unrecognized type '{selector.type}' - 'Regex', 'Prefix', 'Exact' are supported"
        yield Violation(f"{path}.type", reason)
    elif selector.type == "Regex" and not regexes.is_re2(selector.match):
        yield Violation(f"{path}.match", "invalid regex")


def _check_backend(path: str, backend: "model.Backend") -> Iterator[Violation]:
    if backend.type == "Prometheus":
        if backend.prometheus is None:
            yield Violation(f"{path}.prometheus", "must be defined")
        elif backend.prometheus.port is not None and not addresses.is_port(backend.prometheus.port):
            yield Violation(f"{path}.port", _BAD_PORT)
    elif backend.type == "OpenTelemetry":
        if backend.open_telemetry is None:
            yield Violation(f"{path}.openTelemetry", "must be defined")
        else:
            yield from otel.check(f"{path}.openTelemetry", backend.open_telemetry)
    else:
        yield Violation(path, "unrecognized type")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshMetric = resource.spec
    yield from targetref.deprecations(spec.target_ref)
    found = (backend.open_telemetry for backend in spec.default.backends or ())
    if any(each is not None and each.endpoint for each in found):
        yield otel.DEPRECATED_ENDPOINT
