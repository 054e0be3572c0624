"""Health of applications, as Envoy's probes report it, in the inbounds of a Dataplane.

Source: Kuma's documentation, "Service health probes"; only inbounds with a probe are touched.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from kuma.base import errors
from kuma.resources import resource as res
from kuma.resources.kinds import dataplane as dataplanes
from kuma.store import protocol

_ATTEMPTS = 10


def with_health(spec: dataplanes.Dataplane, healthy: Mapping[int, bool]) -> dataplanes.Dataplane:
    """The same Dataplane, the state of each probed inbound set by the health of its port; others stay as they are."""
    networking = spec.networking
    if networking is None:
        return spec
    inbounds = tuple(
        _with_state(each, is_ready=healthy[each.port])
        if each.service_probe is not None
        and each.port in healthy
        and each.state != dataplanes.InboundState.IGNORED
        and each.is_ready != healthy[each.port]
        else each
        for each in networking.inbound
    )
    if inbounds == networking.inbound:
        return spec
    return msgspec.structs.replace(spec, networking=msgspec.structs.replace(networking, inbound=inbounds))


def _with_state(inbound: dataplanes.Inbound, *, is_ready: bool) -> dataplanes.Inbound:
    state = dataplanes.InboundState.READY if is_ready else dataplanes.InboundState.NOT_READY
    return msgspec.structs.replace(inbound, state=state, health=dataplanes.Health(ready=is_ready))


def with_known_health(document: Mapping[str, Any], stored: dataplanes.Dataplane) -> Mapping[str, Any]:
    """A Dataplane's document with the states of probed inbounds that are known from before.

    A proxy that registers anew does not know how its application is; until the next report the last one holds.
    """
    networking = document.get("networking")
    inbounds = networking.get("inbound") if isinstance(networking, Mapping) else None
    if not isinstance(networking, Mapping) or not isinstance(inbounds, list) or stored.networking is None:
        return document
    known = {each.port: each for each in stored.networking.inbound if each.service_probe is not None}
    renewed = []
    for each in inbounds:
        port = each.get("port") if isinstance(each, Mapping) and each.get("serviceProbe") else None
        before = known.get(port) if isinstance(port, int) else None
        if before is not None:
            each = {**each, "state": str(before.state), "health": {"ready": before.is_ready}}
        renewed.append(each)
    return {**document, "networking": {**networking, "inbound": renewed}}


async def report_health(store: protocol.Store, key: res.Key, healthy: Mapping[int, bool]) -> bool:
    """Stores what probes found, by inbound port, if it changes anything; whether it did.

    A Dataplane that is gone, or was written by others all the time, is left alone: the next report comes soon.
    """
    for _ in range(_ATTEMPTS):
        try:
            current = await store.get(key)
            spec = with_health(current.spec, healthy)
            if spec is current.spec:
                return False
            await store.update(dataclasses.replace(current, spec=spec))
            return True
        except errors.Conflict:
            continue
        except errors.NotFound:
            return False
    return False
