"""Rules of a MeshOpenTelemetryBackend."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import addresses
from kuma.resources import resource as res
from kuma.resources.rules import choices

if TYPE_CHECKING:
    from kuma.resources.kinds import meshopentelemetrybackend as model

PROTOCOLS = ("grpc", "http")
MODES = ("Disabled", "Optional", "Required")
PRECEDENCES = ("ExplicitFirst", "EnvFirst")


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshOpenTelemetryBackend."""
    spec: model.MeshOpenTelemetryBackend = resource.spec
    if spec.endpoint is not None:
        yield from _check_endpoint("spec.endpoint", spec.endpoint, spec.protocol or "grpc")
    yield from choices.check_one_of("spec", "protocol", spec.protocol, PROTOCOLS)
    if spec.env is not None:
        yield from choices.check_one_of("spec.env", "mode", spec.env.mode, MODES)
        yield from choices.check_one_of("spec.env", "precedence", spec.env.precedence, PRECEDENCES)


def _check_endpoint(path: str, endpoint: "model.Endpoint", protocol: str) -> Iterator[Violation]:
    if endpoint.address == "":
        yield Violation(f"{path}.address", "must not be empty")
    elif endpoint.address is not None:
        yield from addresses.check_host(f"{path}.address", endpoint.address)
    if endpoint.port is not None:
        yield from addresses.check_valid_port(f"{path}.port", endpoint.port)
    if not endpoint.path:
        return
    if protocol == "grpc":
        yield Violation(f"{path}.path", "must not be set when protocol is grpc")
        return
    if not endpoint.path.startswith("/"):
        yield Violation(f"{path}.path", "must start with /")
    if "?" in endpoint.path or "#" in endpoint.path:
        yield Violation(f"{path}.path", "must not contain query or fragment")
