"""Names that one resource gets elsewhere: the hashed name of a synced copy, names and SNIs of a destination.

Both are read by other control planes and proxies, so they follow Kuma's construction to the letter (Kuma's
documentation, "Kuma Resource Identifier" and "Multi-zone"; the hash is FNV-1a, ietf draft-eastlake-fnv).
"""

import re

from kuma.base import gotext
from kuma.base.kri import Kri

LONGEST = 253
"""Characters that a DNS name, and so a synced name or an SNI, may have."""

_FNV_OFFSET, _FNV_PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
_SAFE = "bcdfghjklmnpqrstvwxz2456789"
_HASH_LENGTH = 17
_SNI_KINDS = {"msvc": "ms", "extsvc": "mes", "mzsvc": "mzms"}
_SNI_PART = 62
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_BAD_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def fnv1a_64(text: str) -> int:
    """The 64-bit FNV-1a hash of the text's UTF-8 bytes."""
    value = _FNV_OFFSET
    for byte in text.encode():
        value = (value ^ byte) * _FNV_PRIME & _MASK
    return value


def hashed_name(mesh: str, name: str, *values: str) -> str:
    """The name under which another control plane keeps a synced copy: `<name>-<hash>`, at most 253 characters.

    `name` is the display name, `values` the zone and the namespace as far as they are set.
    """
    digest = f"{fnv1a_64(mesh + name + ''.join(values)):016x}"
    safe = "".join(_SAFE[ord(char) % len(_SAFE)] for char in digest)
    return f"{name[: LONGEST - _HASH_LENGTH]}-{safe}"


def destination_name(resource: Kri, port: int) -> str:
    """What one port of a MeshService or its like is called without unified naming; empty parts keep their place."""
    own = resource
    return f"{own.mesh}_{own.name}_{own.namespace}_{own.zone}_{own.short}_{port}"


def hashed_sni(short: str, name: str, port: int, mesh: str) -> str:
    """The server name of a port of a destination in a mesh with a CA: `a<hash>.<name>.<port>.<mesh>.<kind>`.

    `short` is the short name of its kind. A name or mesh that fills a DNS label is cut; the hash is of all of it.
    """
    name_part, mesh_part = (part if len(part) <= _SNI_PART else part[:_SNI_PART] + "x" for part in (name, mesh))
    return f"a{fnv1a_64(f'{name};{mesh};'):016x}.{name_part}.{port}.{mesh_part}.{_SNI_KINDS[short]}"


def sni(destination: Kri) -> str:
    """The server name by which proxies ask for a port of a destination: `sni.<short>.<mesh>[.<zone>[.<ns>]].<name>.<port>`.

    The section of the identifier names the port. ValueError with every problem where a part cannot stand in a domain
    name, or the whole is too long.
    """
    problems = sni_problems(destination)
    if problems:
        raise ValueError("; ".join(problems))
    return _joined(destination)


def sni_problems(destination: Kri) -> list[str]:
    """Why no SNI can be made of the identifier; empty where one can. A namespace counts only beside a zone."""
    if not (destination.mesh and destination.name and destination.section):
        return ["mesh, name and sectionName must be non-empty"]
    parts = [("mesh", destination.mesh)]
    if destination.zone:
        parts.append(("zone", destination.zone))
        if destination.namespace:
            parts.append(("namespace", destination.namespace))
    parts += [("name", destination.name), ("sectionName", destination.section)]
    problems = [
        f"{word} {gotext.quote(text)} does not conform to RFC 1123: {reason}"
        for word, text in parts
        for reason in _label_problems(text)
    ]
    if problems:
        return problems
    length = len(_joined(destination))
    if length > LONGEST:
        return [f"computed SNI is {length} characters which exceeds the DNS hostname limit ({LONGEST})"]
    return []


def _joined(destination: Kri) -> str:
    zone = [destination.zone, destination.namespace] if destination.zone else []
    parts = ["sni", destination.short, destination.mesh, *zone, destination.name, destination.section]
    return ".".join(part for part in parts if part)


def _label_problems(text: str) -> list[str]:
    problems = []
    if len(text) > 63:
        problems.append("must be no more than 63 characters")
    if "." in text:
        problems.append("must not contain dots")
    elif not _LABEL.fullmatch(text):
        problems.append(_BAD_LABEL)
    return problems
