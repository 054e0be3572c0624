"""How a proxy's telemetry stands, by collector and signal, as its insight shows it: from what its agent was told. Pure.

Source: Kuma's documentation, "MeshOpenTelemetryBackend" (troubleshooting).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from kuma.resources.kinds import dataplaneinsight as insights

READY, MISSING, AMBIGUOUS = "ready", "missing", "ambiguous"


def of_document(document: bytes | None) -> insights.OpenTelemetry | None:
    """What stands in the agent's document about collectors; None where it has none."""
    if document is None:
        return None
    backends = msgspec.json.decode(document)["backends"]
    return insights.OpenTelemetry(tuple(_backend(each) for each in backends))


def _backend(told: Mapping[str, Any]) -> insights.Backend:
    may_use = told["envPolicy"]["mode"] != "Disabled"
    signals = {name: _signal(told[name], may_use=may_use) for name in ("traces", "logs", "metrics") if told.get(name)}
    return insights.Backend(name=told["name"], **signals)


def _signal(told: Mapping[str, Any], *, may_use: bool) -> insights.Signal:
    """`may_use`: whether variables of the agent's environment count."""
    blocked, missing = tuple(told.get("blockedReasons", ())), tuple(told.get("missingFields", ()))
    state = READY
    if "MultipleBackendsForSignal" in blocked:
        state = AMBIGUOUS
    elif missing or "RequiredEnvMissing" in blocked:
        state = MISSING
    return insights.Signal(
        enabled=told.get("enabled", False),
        env_allowed=may_use,
        env_input_present=told.get("envInputPresent", False),
        state=state,
        override_kinds=tuple(told.get("overrideKinds", ())),
        missing_fields=missing,
        blocked_reasons=blocked,
    )
