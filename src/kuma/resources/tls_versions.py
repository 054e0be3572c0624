"""The range of TLS versions that a resource accepts or offers."""

from collections.abc import Iterator
from typing import Annotated

from kuma.base import gotext
from kuma.base.errors import Violation
from kuma.resources import kind as kinds
from kuma.resources import values

AUTO = "TLSAuto"
VERSIONS = (AUTO, "TLS10", "TLS11", "TLS12", "TLS13")
"""What can be written, oldest first; TLSAuto leaves an end of the range to Envoy."""


class TlsVersion(kinds.Spec, frozen=True):
    """The lowest and the highest version, both included."""

    min: Annotated[str, values.one_of(*VERSIONS), values.defaults_to(AUTO)] = ""
    max: Annotated[str, values.one_of(*VERSIONS), values.defaults_to(AUTO)] = ""


def check(path: str, version: TlsVersion) -> Iterator[Violation]:
    """Violations of a range at `path`: words that are no version, or a range that holds none."""
    accepted = ", ".join(gotext.quote(each) for each in VERSIONS)
    unknown = False
    for name, found in (("min", version.min), ("max", version.max)):
        if found and found not in VERSIONS:
            unknown = True
            yield Violation(f"{path}.{name}", f'"{name}" must be one of [{accepted}]')
    if unknown or not version.min or not version.max or AUTO in (version.min, version.max):
        return
    if VERSIONS.index(version.min) > VERSIONS.index(version.max):
        yield Violation(path, "min version must be lower than max")
