"""Rules of a MeshExternalService."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import addresses, tls_versions
from kuma.resources import resource as res
from kuma.resources.rules import choices, displayname, meshservice

if TYPE_CHECKING:
    from kuma.resources.kinds import meshexternalservice as model

PROTOCOLS = ("tcp", "grpc", "http", "http2")
MODES = ("SkipSAN", "SkipCA", "Secured", "SkipAll")
_NAME_MATCHES = ("Prefix", "Exact")
_MATCH_TYPE = "HostnameGenerator"


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshExternalService. An extension answers for endpoints and TLS itself."""
    spec: model.MeshExternalService = resource.spec
    yield from displayname.check(resource.meta, meshservice.LONGEST_NAME)
    yield from _check_match(spec.match)
    if spec.extension is not None:
        if not spec.extension.type:
            yield Violation("spec.extension.type", "must not be empty")
        return
    for index, endpoint in enumerate(spec.endpoints):
        path = f"spec.endpoints[{index}]"
        yield from addresses.check_host(f"{path}.address", endpoint.address)
        yield from addresses.check_valid_port(f"{path}.port", endpoint.port)
    if spec.tls is None:
        return
    if spec.tls.version is not None:
        yield from tls_versions.check("spec.tls.version", spec.tls.version)
    if spec.tls.verification is not None:
        yield from _check_verification("spec.tls.verification", spec.tls.verification)


def _check_match(match: "model.Match") -> Iterator[Violation]:
    if match.type and match.type != _MATCH_TYPE:
        reason = f"unrecognized type '{match.type}' - only '{_MATCH_TYPE}' is supported"
        yield Violation("spec.match.type", reason)
    yield from addresses.check_valid_port("spec.match.port", match.port)
    yield from choices.check_one_of("spec.match", "protocol", match.protocol, PROTOCOLS)


def _check_verification(path: str, verification: "model.Verification") -> Iterator[Violation]:
    if verification.server_name is not None and not addresses.is_dns_name(verification.server_name):
        yield Violation(f"{path}.serverName", "must be a valid DNS name")
    yield from choices.check_one_of(path, "mode", verification.mode, MODES)
    for index, name in enumerate(verification.subject_alt_names):
        yield from choices.check_one_of(f"{path}.subjectAltNames[{index}]", "type", name.type, _NAME_MATCHES)
    if verification.client_cert is not None and verification.client_key is None:
        yield Violation(f"{path}.clientKey", "must be defined when clientCert is defined")
    if verification.client_key is not None and verification.client_cert is None:
        yield Violation(f"{path}.clientCert", "must be defined when clientKey is defined")
