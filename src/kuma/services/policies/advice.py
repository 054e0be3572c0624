"""What keeps targetRef policies from having an effect, for those who write them, ask about them, or look at the mesh.

One policy is judged against the mesh as it is now, and no proxy is configured for it. Patches of Envoy's configuration
are the exception: a few connected proxies of those that they are about are compiled, one of each sort.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kuma.base import errors
from kuma.compiler import compile, patches
from kuma.mesh import view
from kuma.plan import proxy
from kuma.policy_engine import modifications, policy
from kuma.policy_engine.advice import advice, scene
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane, dataplaneinsight, externalservice, zoneingress
from kuma.services.policies import matches as policy_matches
from kuma.services.proxies import inspection
from kuma.store import protocol as stores

AnyResource = res.Resource[Any]
Found = Sequence[errors.Violation]

MOST_COMPILED = 10
"""Proxies that one policy is tried on: each takes some milliseconds in which nobody else has a turn."""
_AT_ONCE = 20
"""Policies that are judged before others have their turn."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """What is known of proxies where there are any: the pictures of meshes, and the policies that shape proxies."""

    world: Callable[[], Awaitable[view.WorldView]]
    shaping: Sequence[policy.Policy]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What was found of a policy: by itself in a scene, and of its patches in a picture, at some proxies."""

    policy: AnyResource
    found: Found
    basis: tuple[view.MeshView, Sequence[str]] | None = None
    of_patches: Found = ()


@dataclass(slots=True)
class _Known:
    """The scene of a mesh, good as long as the store lists the very same resources."""

    parts: tuple[Any, ...]
    scene: scene.Scene
    judged: dict[int, _Judged] = field(default_factory=dict)
    """By identity of a policy."""


class PolicyAdvice:
    """Judges policies.

    Without `proxies`, as on a global control plane, nothing is said of patches, nor of anything in a mesh of which no
    zone has told a proxy yet.
    """

    def __init__(
        self,
        store: stores.Store,
        catalog: catalogs.Catalog,
        matches: policy_matches.PolicyMatches,
        proxies: Proxies | None = None,
    ) -> None:
        self._store = store
        self._matches = matches
        self._proxies = proxies
        self._kinds = [each for each in catalog if each.policy is not None and each.policy.target_ref]
        shaping = proxies.shaping if proxies is not None else ()
        self._patching = {each.kind.name: each for each in shaping if each.origin}
        self._known: dict[str, _Known] = {}

    async def of(self, stored: AnyResource) -> Found:
        """Why a policy, or a part of it, has no effect; nothing for other kinds. NotFound where its mesh is gone."""
        traits = stored.kind.policy
        if traits is None or not traits.target_ref:
            return ()
        known = await self._of_mesh(stored.meta.mesh)
        if self._is_untold(known):
            return ()
        asked = await self._asked_of_patches(stored, known.scene)
        return [*advice.on(stored, known.scene), *(await _tried(asked) if asked is not None else ())]

    async def of_mesh(self, mesh: str) -> Sequence[tuple[AnyResource, errors.Violation]]:
        """What is to be said of all policies of a mesh, by kind and name; NotFound where there is no such mesh."""
        known = await self._of_mesh(mesh)
        if self._is_untold(known):
            return ()
        before, known.judged = known.judged, {}
        found: list[tuple[AnyResource, errors.Violation]] = []
        trial: patches.Trial | None = None
        for kind in self._kinds:
            for each in await self._store.list(kind, mesh):
                judged = before.get(id(each)) or _Judged(each, tuple(advice.on(each, known.scene)))
                asked = await self._asked_of_patches(each, known.scene, trial)
                if asked is None:
                    judged = replace(judged, basis=None, of_patches=())
                elif judged.basis is None or not asked.is_about(*judged.basis):
                    trial = asked.trial
                    judged = replace(judged, basis=asked.basis, of_patches=await _tried(asked))
                known.judged[id(each)] = judged
                found += [(each, one) for one in (*judged.found, *judged.of_patches)]
                if len(known.judged) % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        return found

    def _is_untold(self, known: _Known) -> bool:
        """Whether all that could be said is that nothing is known here."""
        return self._proxies is None and not known.scene.dataplanes

    async def _of_mesh(self, mesh: str) -> _Known:
        """The scene as it is now, with what is known of its policies where it is still the same."""
        known = self._known.pop(mesh, None)
        around = await self._matches.around(mesh)
        dataplanes = await self._store.list(dataplane.KIND, mesh)
        external = await self._store.list(externalservice.KIND, mesh)
        ingresses = await self._store.list(zoneingress.KIND)
        of_around = (around.routes, around.gateways, around.services, around.external_services)
        parts = (*of_around, around.multizone_services, around.mesh, dataplanes, external, ingresses)
        if known is None or any(a is not b for a, b in zip(known.parts, parts, strict=True)):
            outside = [each.spec.tags for each in external]
            for ingress in ingresses:
                outside += [each.tags for each in ingress.spec.available_services if each.mesh == mesh]
            known = _Known(parts, scene.Scene(dataplanes, around, outside))
        self._known[mesh] = known
        return known

    async def _asked_of_patches(
        self, stored: AnyResource, around: scene.Scene, trial: patches.Trial | None = None
    ) -> "_Asked | None":
        """What is to be tried of a patching policy, by `trial` where that is of the right picture; None of others."""
        patching = self._patching.get(stored.kind.name)
        if patching is None or self._proxies is None:
            return None
        picture = (await self._proxies.world()).meshes.get(stored.meta.mesh)
        if picture is None:
            return None
        changes = patching.changes(stored)
        subjects = await self._tried_on(stored, around, picture, changes)
        if not subjects:
            return None
        others = [each for each in picture.of_kind(stored.kind.name) if each.meta.name != stored.meta.name]
        left = patches.unmatched(changes, patches.added(patching, [*others, stored]))
        if trial is None or trial.picture is not picture:
            trial = patches.Trial(self._proxies.shaping, picture, inspection.ISSUED, inspection.NO_CERTIFICATE)
        return _Asked(trial, subjects, left)

    async def _tried_on(
        self,
        stored: AnyResource,
        around: scene.Scene,
        picture: view.MeshView,
        changes: Sequence[modifications.Modification],
    ) -> list[proxy.ProxyFacts]:
        """A connected proxy of each sort that a policy selects; before others those whose address it names."""
        named = " ".join(f"{each.match.name} {each.match.listener}" for each in changes)
        chosen: list[proxy.ProxyFacts] = []
        rest: list[proxy.ProxyFacts] = []
        for sort, _ in around.selected(stored):
            first: proxy.ProxyFacts | None = None
            for name in sort.names:
                is_named = _address(picture, name) in named
                if (is_named or first is None) and (facts := await self._connected(picture, name)) is not None:
                    first = facts
                    if is_named:
                        chosen.append(facts)
            if first is not None and first not in chosen:
                rest.append(first)
        return [*chosen, *rest][:MOST_COMPILED]

    async def _connected(self, picture: view.MeshView, name: str) -> proxy.ProxyFacts | None:
        """A proxy as it last connected; None where it never did."""
        found = picture.dataplanes.get(name)
        if found is None:
            return None
        try:
            insight = await self._store.get(res.Key(dataplaneinsight.KIND.name, picture.name, name))
        except errors.NotFound:
            return None
        metadata: Mapping[str, Any] = insight.spec.metadata or {}
        return proxy.facts_of(found, metadata)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Changes that have to find something at one of some proxies."""

    trial: patches.Trial
    subjects: Sequence[proxy.ProxyFacts]
    changes: Sequence[modifications.Modification]

    @property
    def basis(self) -> tuple[view.MeshView, Sequence[str]]:
        """The picture, and the names of the proxies: with the same ones the answer is the same."""
        return self.trial.picture, [each.resource.meta.name for each in self.subjects]

    def is_about(self, picture: view.MeshView, names: Sequence[str]) -> bool:
        """Whether another basis is the same."""
        own = self.basis
        return own[0] is picture and own[1] == names


async def _tried(asked: _Asked) -> Found:
    """The changes that find nothing anywhere. Others have a turn between two proxies."""
    left = asked.changes
    try:
        for subject in asked.subjects if left else ():
            left = patches.unmatched(left, asked.trial.at(subject))
            if not left:
                break
            await asyncio.sleep(0)
    except compile.MissingIdentity:
        return ()  # nothing is known of a proxy that gets nothing
    subjects = asked.subjects
    name = f"the Dataplane {subjects[0].resource.meta.name}"
    where = name if len(subjects) == 1 else f"the {len(subjects)} Dataplanes that were looked at"
    return [errors.Violation(f"spec.default.{each.path}", f"matches nothing of {where}") for each in left]


def _address(picture: view.MeshView, name: str) -> str:
    """Where a proxy is dialled; a text that no policy holds where it has no address."""
    found = picture.dataplanes.get(name)
    networking = found.spec.networking if found is not None else None
    return (networking.address if networking is not None else "") or "\0"
