"""Health of applications and their Envoys, as probes report it, in the inbounds of a Dataplane.

Source: Kuma's documentation, "Service health probes".
"""

import dataclasses

from kuma.base import errors
from kuma.compiler import health
from kuma.resources import resource as res
from kuma.store import protocol

_ATTEMPTS = 10


async def report_health(store: protocol.Store, key: res.Key, report: health.Report) -> bool:
    """Stores what probes found if it changes anything; whether it did.

    A Dataplane that is gone, was written by others all the time, or is in a store that takes no writes now is left
    alone: the next report comes soon.
    """
    for _ in range(_ATTEMPTS):
        try:
            current = await store.get(key)
            spec = health.with_reported_health(current.spec, report)
            if spec is current.spec:
                return False
            await store.update(dataclasses.replace(current, spec=spec))
            return True
        except errors.Conflict:
            continue
        except (errors.NotFound, errors.Unavailable):
            return False
    return False
