"""Kuma resource identifiers: `kri_<short>_<mesh>_<zone>_<namespace>_<name>_<section>`, always seven parts.

Source: Kuma's documentation, "Kuma Resource Identifier". Empty parts stay empty.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Kri:
    """One identifier; `short` is the kind's short name, empty parts are empty strings."""

    short: str
    mesh: str = ""
    zone: str = ""
    namespace: str = ""
    name: str = ""
    section: str = ""

    def __str__(self) -> str:
        return f"kri_{self.short}_{self.mesh}_{self.zone}_{self.namespace}_{self.name}_{self.section}"

    def with_section(self, section: str) -> "Kri":
        """The same resource, at one of its sections (a port, an inbound, a rule)."""
        return replace(self, section=section)


def parse_kri(text: str) -> Kri:
    """The identifier that a text spells; ValueError in Kuma's words otherwise."""
    parts = text.split("_")
    if len(parts) < 7:
        raise ValueError(f'invalid identifier string: "{text}"')
    if parts[0] != "kri":
        raise ValueError(f"identifier must start with 'kri': \"{text}\"")
    short, mesh, zone, namespace, name = parts[1:6]
    return Kri(short, mesh, zone, namespace, name, "".join(parts[6:]))
