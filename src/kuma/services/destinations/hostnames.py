"""The hostnames of services: what each generator makes of each service, and who gets a name that several want. Pure.

A name goes to one service of a kind and mesh: generators of the zone come before others, then older ones, then by
name; under one generator the oldest service, then the first by name. Source: Kuma's documentation, "HostnameGenerator".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgspec

from kuma.base import gotemplate, gotext, labels
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import statuses
from kuma.services import service_hostnames

AnyResource = res.Resource[Any]
ORIGIN = "HostnameGenerator"
_GENERATED, _COLLISION, _TEMPLATE_ERROR = "Generated", "Collision", "TemplateError"
_LAST = datetime.max.replace(tzinfo=UTC)

Rank = tuple[int, datetime, str]
"""Who comes first: the place of the generator, then the age and the name of the service."""

_Place = tuple[str, str, str]
"""Kind, mesh and hostname: what can be had once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What one generator makes of a service: a hostname, or the reason why there is none."""

    generator: str
    order: int
    hostname: str = ""
    problem: str = ""


def in_order(generators: Iterable[service_hostnames.Generator]) -> tuple[service_hostnames.Generator, ...]:
    """Generators, those first that win."""
    return tuple(
        sorted(
            generators,
            key=lambda each: (
                each.meta.labels.get(labels.ORIGIN) != labels.ORIGIN_ZONE,
                each.meta.creation_time,
                each.meta.name,
            ),
        )
    )


def claims_of(service: AnyResource, generators: Sequence[service_hostnames.Generator], zone: str) -> tuple[Claim, ...]:
    """The claims of a service, by the names of the generators that are about it. `zone` is the control plane's own."""
    return tuple(sorted(_claims(service, generators, zone), key=lambda each: each.generator))


def _claims(service: AnyResource, generators: Sequence[service_hostnames.Generator], zone: str) -> Iterator[Claim]:
    for order, generator in enumerate(generators):
        name, spec = generator.meta.name, generator.spec
        if spec.extension is not None or not service_hostnames.is_about(spec, service.kind.name, service.meta.labels):
            continue
        try:
            hostname = service_hostnames.hostname_of(service, spec.template, zone)
            if hostname:
                yield Claim(name, order, hostname)
        except gotemplate.TemplateError as failure:
            reason = f"pre evaluation of template with parameters failed with error={gotext.quote(str(failure))}"
            yield Claim(name, order, problem=reason)


@dataclass(slots=True)
class Register:
    """Who claims which hostname."""

    _claims: dict[res.Key, tuple[Claim, ...]] = field(default_factory=dict)
    _ranks: dict[_Place, dict[res.Key, Rank]] = field(default_factory=dict)

    def enter(self, service: AnyResource, claims: Sequence[Claim]) -> set[res.Key]:
        """Notes the claims of a service in place of its earlier ones; the other services that this may change."""
        key = service.key
        age = service.meta.creation_time
        wanted: dict[_Place, Rank] = {}
        for each in claims:
            if each.hostname:
                place = (key.kind, key.mesh, each.hostname)
                rank = each.order, _LAST if age == res.ZERO_TIME else age, key.name
                wanted[place] = min(rank, wanted.get(place, rank))
        affected = self.leave(key, keep=wanted)
        for place, rank in wanted.items():
            ranks = self._ranks.setdefault(place, {})
            if ranks.get(key) != rank:
                ranks[key] = rank
                affected.update(ranks)
        self._claims[key] = tuple(claims)
        affected.discard(key)
        return affected

    def leave(self, key: res.Key, keep: Iterable[_Place] = ()) -> set[res.Key]:
        """Drops the claims of a service, except for the places in `keep`; the services that this may change."""
        affected: set[res.Key] = set()
        gone = {(key.kind, key.mesh, each.hostname) for each in self._claims.pop(key, ()) if each.hostname}
        for place in gone.difference(keep):
            ranks = self._ranks[place]
            del ranks[key]
            affected.update(ranks)
            if not ranks:
                del self._ranks[place]
        return affected

    def with_hostnames(self, service: AnyResource) -> AnyResource:
        """A service with the addresses and conditions that its claims give it. It has to have a status."""
        addresses: list[statuses.Address] = []
        findings: list[statuses.HostnameGeneratorStatus] = []
        for claim in self._claims[service.key]:
            ref = statuses.HostnameGeneratorRef(core_name=claim.generator)
            finding = self._finding(service.key, claim)
            if finding.status == conditions.TRUE:
                addresses.append(statuses.Address(claim.hostname, ORIGIN, ref))
            findings.append(statuses.HostnameGeneratorStatus(ref, (finding,)))
        status: Any = service.status
        kept = tuple(each for each in status.addresses if each.origin != ORIGIN)
        own = msgspec.structs.replace(status, addresses=(*kept, *addresses), hostname_generators=tuple(findings))
        return replace(service, status=own)

    def _finding(self, key: res.Key, claim: Claim) -> conditions.Condition:
        if claim.problem:
            return conditions.Condition(_GENERATED, conditions.FALSE, _TEMPLATE_ERROR, claim.problem)
        ranks = self._ranks[key.kind, key.mesh, claim.hostname]
        winner = min(ranks, key=ranks.__getitem__)
        if winner != key:
            message = f"Hostname collision with {winner.kind}: {winner.name}"
            return conditions.Condition(_GENERATED, conditions.FALSE, _COLLISION, message)
        return conditions.Condition(_GENERATED, conditions.TRUE, _GENERATED, "")
