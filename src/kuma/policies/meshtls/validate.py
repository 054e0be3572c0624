"""Rules of a MeshTLS and warnings about its older half."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.policy_engine.writing import entries
from kuma.resources import resource as res
from kuma.resources import targetref, tls_versions

if TYPE_CHECKING:
    from kuma.policies.meshtls import model

_TOP_KINDS = ("Mesh", "MeshSubset", "Dataplane")
_FROM = targetref.Allowed(("Mesh",))
MODES = ("Permissive", "Strict")
"""Whether an inbound takes plaintext beside mutual TLS, or not."""
CIPHERS = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-CHACHA20-POLY1305",
)
"""Cipher suites of TLS 1.2 and older, by OpenSSL's names; TLS 1.3 chooses its own."""


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshTLS."""
    spec: model.MeshTLS = resource.spec
    top = spec.target_ref or targetref.MESH
    allowed = targetref.Allowed(_TOP_KINDS, inbound_policy=bool(spec.from_ or spec.rules))
    yield from targetref.check("spec.targetRef", top, allowed)
    if spec.rules and spec.from_:
        yield Violation("spec", "field 'from' must be empty when 'rules' is defined")
    for index, rule in enumerate(spec.rules or ()):
        yield from _check_conf(f"spec.rules[{index}].default", rule.default, top.kind)
    for index, client in enumerate(spec.from_ or ()):
        yield from targetref.check(f"spec.from[{index}].targetRef", client.target_ref, _FROM)
        yield from _check_conf(f"spec.from[{index}].default", client.default, top.kind)


def _check_conf(path: str, conf: "model.Conf", top: str) -> Iterator[Violation]:
    """Versions and ciphers are the mesh's alone: a server that differs could not be reached by its clients."""
    if top != "Mesh":
        for name, value in (("tlsCiphers", conf.tls_ciphers), ("tlsVersion", conf.tls_version)):
            if value:
                yield Violation(f"{path}.{name}", f"{name} can only be defined with top level targetRef kind: Mesh")
    else:
        for index, cipher in enumerate(conf.tls_ciphers or ()):
            yield from _check_one_of(f"{path}.tlsCiphers[{index}]", "tlsCiphers", cipher, CIPHERS)
        if conf.tls_version is not None:
            yield from tls_versions.check(f"{path}.tlsVersion", conf.tls_version)
    yield from _check_one_of(f"{path}.mode", "mode", conf.mode, MODES)


def _check_one_of(path: str, name: str, value: str | None, accepted: tuple[str, ...]) -> Iterator[Violation]:
    if value is not None and value not in accepted:
        yield Violation(path, f"{gotext.quote(name)} must be one of [{', '.join(map(gotext.quote, accepted))}]")


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    spec: model.MeshTLS = resource.spec
    yield from entries.deprecations(spec.target_ref, spec.from_)
