"""Parts that the statuses of several kinds share: hostnames and virtual addresses."""

from typing import Annotated

from kuma.resources import conditions, values
from kuma.resources import kind as kinds

Findings = tuple[conditions.Condition, ...]


class HostnameGeneratorRef(kinds.Spec, frozen=True, omit_defaults=False):
    """The generator that made a hostname, by the name it is stored under."""

    core_name: Annotated[str, values.Required] = ""


class Address(kinds.Spec, frozen=True):
    """A hostname under which a service answers; `origin` is `HostnameGenerator` or `Kubernetes`."""

    hostname: str = ""
    origin: str = ""
    hostname_generator_ref: HostnameGeneratorRef | None = None


class HostnameGeneratorStatus(kinds.Spec, frozen=True):
    """What became of one generator for this service."""

    hostname_generator_ref: Annotated[HostnameGeneratorRef, values.Required] = HostnameGeneratorRef()
    conditions: Findings = ()


class Vip(kinds.Spec, frozen=True):
    """A virtual address that proxies answer for."""

    ip: str = ""
