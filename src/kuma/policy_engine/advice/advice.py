"""What a policy asks for and cannot get, in words for its author: targets that do not exist, requests at what has none.

Nothing of that is wrong with the policy alone, and it may come right later, so that it is no reason to refuse it. What
is about the whole mesh is a rule for whatever may come: only what is named can be missing. Shadow policies are judged
as if they were in force. `compiler.patches` has the same for changes to Envoy's own configuration.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from kuma.base import errors, gotext, kri, labels
from kuma.mesh import destinations
from kuma.plan import nodes
from kuma.policy_engine.advice import scene as scenes
from kuma.policy_engine.advice import spoken
from kuma.policy_engine.matching import places, selection, surroundings
from kuma.policy_engine.writing import backends
from kuma.resources import resource as res
from kuma.resources import targetref
from kuma.resources.kinds import mesh

AnyResource = res.Resource[Any]
Advice = Iterator[errors.Violation]

_REAL = ("MeshExternalService", "MeshMultiZoneService", "MeshHTTPRoute")
_TAGGED = ("MeshService", "MeshServiceSubset")
_ROUTE = "MeshHTTPRoute"
_UNRESOLVED = "kuma.io/unresolved-backend"
"""A backend that is known not to exist: of routes of the Gateway API."""


def on(policy: AnyResource, scene: scenes.Scene) -> Advice:
    """Why a targetRef policy, or a part of it, has no effect on anybody, each with its field."""
    selected = [(sort.places, chosen) for sort, chosen in scene.selected(policy)]
    target = policy.spec.target_ref
    if target is not None and target.kind != "Mesh":
        if selected:
            yield from _on_inbounds(policy, selected)
        else:
            yield _nobody(policy, target, scene)
    for number, entry in enumerate(getattr(policy.spec, "from_", None) or ()):
        yield from _on_clients(f"spec.from[{number}].targetRef", entry.target_ref, scene)
    for number, entry in enumerate(getattr(policy.spec, "to", None) or ()):
        yield from _on_destination(f"spec.to[{number}]", entry, policy, scene)


def is_exclusive(around: surroundings.Surroundings) -> bool:
    """Whether the mesh has no destinations but MeshServices and their like."""
    services = around.mesh.spec.mesh_services if around.mesh is not None else None
    return services is not None and services.mode is mesh.MeshServicesMode.EXCLUSIVE


# Proxies


def _nobody(policy: AnyResource, target: targetref.TargetRef, scene: scenes.Scene) -> errors.Violation:
    """Why a top-level targetRef selects nobody."""
    place = "spec.targetRef"
    around = scene.around
    if target.kind == _ROUTE and around.route_named(target.name) is None:
        return errors.Violation(place, f"there is no {_described(target)}")
    if target.kind == "MeshGateway" and all(each.meta.display_name != target.name for each in around.gateways):
        return errors.Violation(place, f"there is no {_described(target)}")
    if target.section_name:
        whole = msgspec.structs.replace(target, section_name="")
        spec = msgspec.structs.replace(policy.spec, target_ref=whole)
        if any(scene.selected(res.Resource(policy.kind, policy.meta, spec))):
            name = gotext.quote(target.section_name)
            return errors.Violation(f"{place}.sectionName", f"no Dataplane that is selected has an inbound {name}")
    return errors.Violation(place, "no Dataplane of the mesh is selected")


def _on_inbounds(policy: AnyResource, selected: Sequence[tuple[places.Places, Sequence[int]]]) -> Advice:
    """Parts of `rules` and `from` that none of the inbounds knows which are selected."""
    chosen = [each.all[at] for each, picked in selected for at in picked]
    if any(each.sort is not places.Sort.INBOUND for each in chosen):
        return
    protocols = {each.tags.get(labels.PROTOCOL_TAG, scenes.PLAIN) for each in chosen}
    for member in ("rules", "from"):
        for number, entry in enumerate(getattr(policy.spec, "from_" if member == "from" else member, None) or ()):
            said = f"the inbounds that are selected speak {_listed(protocols)}"
            yield from _unspoken(f"spec.{member}[{number}].default", entry.default, protocols, said)


def _on_clients(place: str, target: targetref.TargetRef, scene: scenes.Scene) -> Advice:
    """An entry of `from` about clients of which there are none."""
    if target.kind not in (*_TAGGED, "MeshSubset"):
        return
    wanted = dict(target.tags or {}) | ({labels.SERVICE_TAG: target.name} if target.kind in _TAGGED else {})
    if not any(selection.is_subset(wanted, tags) for tags in scene.tags):
        told = ", ".join(f"{key}={wanted[key]}" for key in sorted(wanted))
        named = f"there is no {_described(target)}"
        yield errors.Violation(place, named if target.kind == "MeshService" else f"no Dataplane has the tags {told}")


# Destinations


def _on_destination(path: str, entry: Any, policy: AnyResource, scene: scenes.Scene) -> Advice:
    """What is wrong with one entry of `to`: its destination, its conf there, and the backends of its routes."""
    target: targetref.TargetRef = entry.target_ref
    place = f"{path}.targetRef"
    protocols = _protocols_of(target, policy, scene)
    if protocols is None:
        yield errors.Violation(place, _missing(target, policy))
    elif protocols and policy.kind.name == _ROUTE:
        if not _has_requests(protocols):
            said = f"the {_described(target)} speaks {_listed(protocols)}, which has no requests to route"
            yield errors.Violation(place, said)
    elif protocols:
        said = f"the {_described(target)} speaks {_listed(protocols)}"
        yield from _unspoken(f"{path}.default", entry.default, protocols, said)
    for where, backend in _backends(path, entry):
        if backend.name != _UNRESOLVED:
            yield from _on_backend(where, backend, policy, scene)


def _protocols_of(target: targetref.TargetRef, policy: AnyResource, scene: scenes.Scene) -> Collection[str] | None:
    """What a destination of `to` speaks; None where it does not exist, nothing where that cannot be said of it."""
    if target.kind not in (*_TAGGED, *_REAL):
        return ()
    tagged: Collection[str] = ()
    if target.kind in _TAGGED and not (target.labels or target.section_name):
        tagged = scene.spoken.get(target.name, ()) if not is_exclusive(scene.around) else ()
    found = scene.around.resolve(target, policy.meta)
    if not found and not tagged:
        return None
    return {*tagged, *(each for destination in found for each in _spoken(destination, scene.around))}


def _spoken(target: kri.Kri, around: surroundings.Surroundings) -> Iterator[str]:
    """The protocols of the ports of a destination, or of the one that is its section."""
    resource = around.find(target)
    if resource is not None and resource.kind.name in destinations.KINDS:
        ports = destinations.read(resource).ports
        yield from (each.protocol for each in ports if target.section in ("", each.kri.section, str(each.port)))


def _unspoken(path: str, conf: msgspec.Struct, protocols: Collection[str], said: str) -> Advice:
    """The parts of a conf that are about other protocols, where none of its parts is about one that is spoken."""
    parts = list(spoken.parts(conf))
    known = {nodes.Protocol.named(each).value for each in protocols}
    if not any(known.intersection(about) for _, about in parts):
        for member, about in parts:
            yield errors.Violation(f"{path}.{member}", f"{said}, and this is about {_listed(about)}")


# Backends


def _backends(path: str, entry: Any) -> Iterator[tuple[str, backends.BackendRef]]:
    """The backendRefs of the rules of a route, each with its field."""
    for number, rule in enumerate(getattr(entry, "rules", None) or ()):
        place = f"{path}.rules[{number}].default"
        for at, backend in enumerate(rule.default.backend_refs or ()):
            yield f"{place}.backendRefs[{at}]", backend
        for at, each in enumerate(getattr(rule.default, "filters", None) or ()):
            if each.request_mirror is not None:
                yield f"{place}.filters[{at}].requestMirror.backendRef", each.request_mirror.backend_ref


def _on_backend(place: str, backend: backends.BackendRef, policy: AnyResource, scene: scenes.Scene) -> Advice:
    port = backend.section_name or (str(backend.port) if backend.port else "")
    if backend.kind == "MeshServiceSubset" or (backend.kind == "MeshService" and not (port or backend.labels)):
        protocols: Collection[str] = scene.spoken.get(backend.name, ())
        missing = _without_port(backend, policy, scene)
    else:
        found = scene.around.resolve(msgspec.structs.replace(backend, section_name=""), policy.meta)
        ports = (each.with_section(port) for each in found)
        protocols = {each for destination in ports for each in _spoken(destination, scene.around)}
        missing = _missing(backend, policy, port)
    if not protocols:
        yield errors.Violation(place, missing)
    elif policy.kind.name == _ROUTE and not _has_requests(protocols):
        said = f"the {_described(backend, port)} speaks {_listed(protocols)}, which takes no requests"
        yield errors.Violation(place, said)


def _without_port(backend: backends.BackendRef, policy: AnyResource, scene: scenes.Scene) -> str:
    """Why a backend that is a `kuma.io/service` does not exist: a MeshService of its name needs a port."""
    if backend.kind == "MeshService" and scene.around.resolve(backend, policy.meta):
        name = gotext.quote(backend.name)
        return f"there is no kuma.io/service {name}; the MeshService {name} is meant only with a port"
    return f"there is no {_described(backend)}"


# Words


def _has_requests(protocols: Collection[str]) -> bool:
    return any(nodes.Protocol.named(each).is_http for each in protocols)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _missing(target: targetref.TargetRef, policy: AnyResource, section: str = "") -> str:
    """That a destination does not exist. A policy of a zone finds by name what is of its zone alone."""
    said = f"there is no {_described(target, section)}"
    is_elsewhere = target.kind == "MeshMultiZoneService" and target.name and labels.ZONE in policy.meta.labels
    return f"{said} in its zone; MeshMultiZoneServices are of no zone, name them by labels" if is_elsewhere else said


def _described(target: targetref.TargetRef, section: str = "") -> str:
    if target.labels:
        wanted = ", ".join(f"{key}={target.labels[key]}" for key in sorted(target.labels))
        name = f"{target.kind} with the labels {wanted}"
    else:
        name = f"{target.kind} {gotext.quote(target.name)}"
    section = section or target.section_name
    return f"{name} with a port {gotext.quote(section)}" if section else name
