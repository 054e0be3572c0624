"""Rules of a MeshTrust and a warning about its older half."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kuma.base.errors import Violation
from kuma.resources import resource as res

if TYPE_CHECKING:
    from kuma.resources.kinds import meshtrust as model

BUNDLE_TYPES = ("Pem",)
LONGEST_DOMAIN = 253
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n(.*?)-----END \1-----", re.DOTALL)


def validate(resource: "res.Resource[Any]") -> Iterator[Violation]:
    """Every violation of a MeshTrust."""
    spec: model.MeshTrust = resource.spec
    if not spec.ca_bundles:
        yield Violation("spec.caBundles", "must not be empty")
    for index, bundle in enumerate(spec.ca_bundles):
        path = f"spec.caBundles[{index}].pem"
        if bundle.type not in BUNDLE_TYPES:
            yield Violation("spec.caBundles.type", f"{bundle.type} must be one of: {', '.join(BUNDLE_TYPES)}")
        elif bundle.pem is None:
            yield Violation(path, "must be defined")
        elif not is_pem(bundle.pem.value):
            yield Violation(f"{path}.value", "provided certificate has incorrect format")
    if not spec.trust_domain:
        yield Violation("spec.trustDomain", "trustDomain needs to be defined")
    elif len(spec.trust_domain) > LONGEST_DOMAIN:
        yield Violation("spec.trustDomain", f"must not be longer than {LONGEST_DOMAIN} characters")


def is_pem(text: str) -> bool:
    """Whether the text holds a block of PEM (RFC 7468); what the block says is read where it is used."""
    found = _BLOCK.search(text.replace("\r\n", "\n"))
    if found is None:
        return False
    try:
        return bool(base64.b64decode("".join(found.group(2).split()), validate=True))
    except binascii.Error:
        return False


def deprecations(resource: "res.Resource[Any]") -> Iterator[str]:
    """Warnings about what still works and will go."""
    if resource.spec.origin is not None:
        yield "setting spec.origin field is deprecated"
