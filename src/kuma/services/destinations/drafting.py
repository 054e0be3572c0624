"""What destinations should be like, from what the picture holds: a draft for everything that is due.

One round drafts in stages, each on what the stage before made: MeshServices are generated, their standing computed,
addresses given, hostnames claimed. So a new service is written once, whole.
"""

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from kuma.resources import dns_vips
from kuma.resources import resource as res
from kuma.resources.kinds import config, mesh
from kuma.services.destinations import (
    generation,
    hostnames,
    legacy_vips,
    multizone,
    picture,
    propagation,
    standing,
    virtual_addresses,
    workloads,
)
from kuma.services.rules import role as roles

AnyResource = res.Resource[Any]
Drafts = dict[res.Key, AnyResource | None]
"""What each resource should be; None: there should be none."""

Make = Callable[[res.Key, AnyResource | None], AnyResource | None]
"""One stage: a better draft of one resource."""

_LOG = structlog.get_logger("destinations")


class Measures(Protocol):
    """What is timed: rounds of a stage by its name, and the making of legacy addresses."""

    def loop(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Entered around one stage of a round."""
        ...

    def vip_generation(self) -> contextlib.AbstractContextManager[None]:
        """Entered around the legacy addresses of one mesh; an error that leaves it is counted."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """`cidrs`: the network of each kind's addresses. `grace`: how long a MeshService outlives its last proxy."""

    cidrs: dict[str, str] = field(
        default_factory=lambda: {
            picture.MESH_SERVICE: "241.0.0.0/8",
            picture.EXTERNAL: "242.0.0.0/8",
            picture.MULTI_ZONE: "243.0.0.0/8",
        }
    )
    legacy: legacy_vips.Settings = field(default_factory=legacy_vips.Settings)
    grace: timedelta = timedelta(hours=1)
    untagged: bool = False
    propagated: propagation.Settings = field(default_factory=propagation.Settings)


class Drafting:
    """Makes drafts; remembers addresses and hostnames that are taken, and when MeshServices without proxies go."""

    def __init__(
        self,
        own: picture.Picture,
        role: roles.Role,
        settings: Settings,
        measures: Measures,
        offered: frozenset[str],
    ) -> None:
        """`offered` are the kinds that this control plane has; others are neither made nor looked at."""
        self._picture = own
        self._offered = offered
        self._role = role
        self._settings = settings
        self._measures = measures
        self._generation = generation.Settings(role.zone, settings.grace, settings.untagged, settings.propagated)
        self._pools = {kind: virtual_addresses.AddressPool(cidr) for kind, cidr in settings.cidrs.items()}
        self._register = hostnames.Register()
        self._legacy_addresses: dict[str, legacy_vips.Addresses] = {}
        self._conflicts: dict[res.Key, tuple[str, ...]] = {}
        self._unnumbered: set[res.Key] = set()
        self.waning: dict[res.Key, datetime] = {}

    def drafts(self, due: picture.Due, now: datetime) -> Drafts:
        """A draft for everything that is due, as of `now`; what cannot be drafted is left out and logged."""
        services = self._begun(due.services)
        gone = due.services - services.keys()
        self._each("meshservice_generator", services, lambda key, draft: self._generated(key, draft, now))
        self._let_go(gone.union(key for key, draft in services.items() if draft is None))
        self._each("ms_status_updater", services, self._with_standing)
        self._each("mzms_status_updater", services, self._with_matches)
        if services:
            with self._measures.loop("vip_allocator"):
                self._number(services)
            with self._measures.loop("hostname_generator"):
                self._name(services)
        made = self._begun(due.workloads)
        self._each("workload_generator", made, self._workload)
        self._each("workload_status_updater", made, self._counted)
        return {**services, **made, **self._legacy(due)}

    def note_addresses(self, keys: Iterable[res.Key]) -> None:
        """Notes the addresses that stored services have, before the first new one is given."""
        for key in keys:
            stored = self._picture.stored(key)
            address = virtual_addresses.vip_of(stored) if stored is not None else ""
            if address:
                self._pools[key.kind].hold(key, address)

    def _begun(self, keys: Iterable[res.Key]) -> Drafts:
        """What is stored, of meshes that exist, in the order in which addresses are given out."""
        wanted = [key for key in keys if key.kind in self._offered and self._mesh(key.mesh) is not None]
        return {key: self._picture.stored(key) for key in sorted(wanted)}

    def _mesh(self, name: str) -> res.Resource[mesh.Mesh] | None:
        return self._picture.contents(name).resource

    def _each(self, stage: str, drafts: Drafts, make: Make) -> None:
        """Puts every draft through one stage. One odd resource does not keep the others from theirs."""
        if not drafts:
            return
        with self._measures.loop(stage):
            for key, draft in list(drafts.items()):
                try:
                    drafts[key] = make(key, draft)
                except Exception as failure:
                    del drafts[key]
                    _LOG.error("no draft", stage=stage, kind=key.kind, mesh=key.mesh, name=key.name, error=str(failure))

    def _let_go(self, keys: Iterable[res.Key]) -> None:
        """What is gone leaves its address and its hostnames to others, which are due then."""
        for key in keys:
            self._unnumbered.discard(key)
            self._picture.due.services.update(each for each in self._unnumbered if each.kind == key.kind)
            self._pools[key.kind].release(key)
            self._picture.due.services.update(self._register.leave(key))
            self._conflicts.pop(key, None)
            self.waning.pop(key, None)

    def _generated(self, key: res.Key, draft: AnyResource | None, now: datetime) -> AnyResource | None:
        if key.kind != picture.MESH_SERVICE or self._role.environment != "universal":
            return draft
        own = self._mesh(key.mesh)
        if own is None or not _is_wanted(own.spec):
            return None if draft is not None and generation.is_generated(draft) else draft
        outcome = generation.desired(key, self._picture.callers(key), draft, now, self._generation)
        if outcome.conflicting != self._conflicts.get(key, ()):
            self._conflicts[key] = outcome.conflicting
            names = list(outcome.conflicting)
            _LOG.info("ports of proxies differ from their MeshService", mesh=key.mesh, name=key.name, proxies=names)
        end = generation.waned_at(outcome.service, self._settings.grace) if outcome.service is not None else None
        if end is None:
            self.waning.pop(key, None)
        else:
            self.waning[key] = end
        return outcome.service

    def _with_standing(self, key: res.Key, draft: AnyResource | None) -> AnyResource | None:
        if draft is None or key.kind != picture.MESH_SERVICE or not standing.is_local(draft):
            return draft
        contents = self._picture.contents(key.mesh)
        if contents.resource is None:
            return draft
        identities = list(contents.identities.values())
        return standing.with_standing(draft, self._picture.selected(draft), contents.resource.spec, identities)

    def _with_matches(self, key: res.Key, draft: AnyResource | None) -> AnyResource | None:
        if draft is None or key.kind != picture.MULTI_ZONE:
            return draft
        return multizone.with_matches(draft, self._picture.behind(draft))

    def _number(self, drafts: Drafts) -> None:
        for key, draft in drafts.items():
            if draft is None or virtual_addresses.vip_of(draft):
                continue
            address = self._pools[key.kind].address_of(key) or ""
            if address:
                self._unnumbered.discard(key)
                drafts[key] = virtual_addresses.with_vip(_with_status(draft), address)
            elif key not in self._unnumbered:
                self._unnumbered.add(key)
                _LOG.error("no virtual address is left", kind=key.kind, mesh=key.mesh, name=key.name)

    def _name(self, drafts: Drafts) -> None:
        """All claims are entered before the first is judged."""
        present = {key: _with_status(draft) for key, draft in drafts.items() if draft is not None}
        for draft in present.values():
            claims = hostnames.claims_of(draft, self._picture.generators, self._role.zone)
            self._picture.due.services.update(self._register.enter(draft, claims) - present.keys())
        for key, draft in present.items():
            drafts[key] = self._register.with_hostnames(draft)

    def _workload(self, key: res.Key, draft: AnyResource | None) -> AnyResource | None:
        if self._role.environment != "universal":
            return draft
        return workloads.desired(key, self._picture.workers(key), draft, self._role.zone)

    def _counted(self, key: res.Key, draft: AnyResource | None) -> AnyResource | None:
        return workloads.with_counts(draft, self._picture.workers(key)) if draft is not None else None

    def _legacy(self, due: picture.Due) -> Drafts:
        drafts: Drafts = {}
        for name in sorted(due.legacy | due.tables):
            key = res.Key(config.KIND.name, "", dns_vips.config_name(name))
            stored = self._picture.stored(key)
            if self._mesh(name) is None:
                self._legacy_addresses.pop(name, None)
                continue
            if name not in due.legacy and stored is not None and self._is_known(name, stored):
                continue
            try:
                with self._measures.vip_generation():
                    text = self._legacy_text(name, stored)
            except Exception as failure:
                _LOG.error("no legacy addresses", mesh=name, error=str(failure))
                continue
            if stored is not None:
                drafts[key] = replace(stored, spec=config.Config(config=text))
            elif text:
                drafts[key] = res.Resource(config.KIND, res.Meta("", key.name), config.Config(config=text))
        return drafts

    def _is_known(self, mesh_name: str, stored: AnyResource) -> bool:
        """Whether a table is the one that was written here."""
        addresses = self._legacy_addresses.get(mesh_name)
        return addresses is not None and addresses.text == stored.spec.config

    def _legacy_text(self, mesh_name: str, stored: AnyResource | None) -> str:
        addresses = self._legacy_addresses.setdefault(mesh_name, legacy_vips.Addresses(self._settings.legacy))
        addresses.read(stored.spec.config if stored is not None else "")
        return addresses.updated(self._picture.sources(mesh_name))


def _is_wanted(own: mesh.Mesh) -> bool:
    """Whether MeshServices are generated in a mesh."""
    return own.mesh_services is not None and own.mesh_services.mode is not mesh.MeshServicesMode.DISABLED


def _with_status(service: AnyResource) -> AnyResource:
    """The service, with an empty status where it had none yet."""
    if service.status is not None or service.kind.status is None:
        return service
    return replace(service, status=service.kind.status())
