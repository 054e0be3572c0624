"""Tells in the status of MeshOpenTelemetryBackends whether policies point at them.

A backend that nobody points at is no error, but where telemetry is missed it usually means labels that do not fit.
One control plane on a store does this. Source: Kuma's documentation, "MeshOpenTelemetryBackend".
"""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from kuma.base import errors
from kuma.policies.meshaccesslog import model as meshaccesslog
from kuma.policies.meshmetric import model as meshmetric
from kuma.policies.meshtrace import model as meshtrace
from kuma.policy_engine import collectors
from kuma.policy_engine.writing import otel
from kuma.resources import catalog as catalogs
from kuma.resources import conditions
from kuma.resources import resource as res
from kuma.resources.kinds import meshopentelemetrybackend
from kuma.services import following
from kuma.store import protocol

AnyResource = res.Resource[Any]

TYPE = "ReferencedByPolicies"
_BACKEND = meshopentelemetrybackend.KIND.name
_POLICIES = (meshaccesslog.KIND.name, meshmetric.KIND.name, meshtrace.KIND.name)
_GATHER = 0.05
"""Seconds for which changes are gathered."""


def desired(resources: Iterable[AnyResource]) -> list[AnyResource]:
    """The backends of one mesh whose status should be another one, with that one. `resources`: these and policies."""
    held = list(resources)
    backends = [each for each in held if each.kind.name == _BACKEND]
    policies = [each for each in held if each.kind.name != _BACKEND]
    known = collectors.known(backends)
    meant = (collectors.resolve(each, known) for policy in policies for each in _references(policy.spec))
    counts = Counter(each.author for each in meant if each is not None)
    drafts = (dataclasses.replace(each, status=_status(each, counts[res.ref_to(each)])) for each in backends)
    return [draft for draft, each in zip(drafts, backends, strict=True) if draft.status != each.status]


def _references(spec: Any) -> Iterator[collectors.Reference]:
    """What the backends of a policy point at. Addresses that it holds itself are no references."""
    for conf in _confs(spec):
        for each in conf.backends or ():
            found: otel.Backend | None = each.open_telemetry  # what all three policies have in common
            if found is not None and found.backend_ref is not None:
                yield collectors.reference(found)


def _confs(spec: Any) -> Iterator[Any]:
    if isinstance(spec, meshaccesslog.MeshAccessLog):
        yield from (each.default for each in spec.rules or ())
        yield from (each.default for each in spec.to or ())
        yield from (each.default for each in spec.from_ or ())
    elif isinstance(spec, meshmetric.MeshMetric | meshtrace.MeshTrace):
        yield spec.default


def _status(backend: AnyResource, count: int) -> conditions.Status:
    """The status with our condition in place of the one that it had."""
    if count:
        message = f"Referenced by {count} policy backend(s)"
        own = conditions.Condition(TYPE, conditions.TRUE, "Referenced", message)
    else:
        message = "Not referenced by any observability policy"
        own = conditions.Condition(TYPE, conditions.FALSE, "NotReferenced", message)
    before = backend.status.conditions if isinstance(backend.status, conditions.Status) else ()
    return conditions.Status((*(each for each in before if each.type != TYPE), own))


class ReferenceLoop:
    """Follows the store and writes the conditions that differ. Runs when this control plane leads."""

    def __init__(
        self,
        store: protocol.Store,
        catalog: catalogs.Catalog,
        interval: float,
        timed: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`interval` is in seconds: after it, what could not be written is tried again. `timed` times each round."""
        self._store = store
        self._timed = timed
        self._kinds = {name: kind for name in (_BACKEND, *_POLICIES) if (kind := catalog.find(name)) is not None}
        self._interval = interval

    async def run(self) -> None:
        """Runs until cancelled, or until the store is closed."""

        def concerns(change: protocol.Change) -> bool:
            return change.resource.kind.name in self._kinds

        await following.answer(self._store, concerns, self.write_all, gather=_GATHER, again=self._interval)

    async def write_all(self) -> bool:
        """Writes what is missing or out of date now; whether something could not be written."""
        with self._timed():
            return await self._write_all()

    async def _write_all(self) -> bool:
        by_mesh: dict[str, list[AnyResource]] = {}
        for kind in self._kinds.values():
            for each in await self._store.list(kind):
                by_mesh.setdefault(each.meta.mesh, []).append(each)
        is_left = False
        for draft in (each for held in by_mesh.values() for each in desired(held)):
            try:
                await self._store.update(draft)
            except errors.NotFound:
                continue  # it went away meanwhile
            except (errors.Conflict, errors.Unavailable):
                is_left = True  # somebody else wrote in between, or the store is away for now
        return is_left
