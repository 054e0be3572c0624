"""How telemetry of a proxy stands, from the document of its agent."""

import json
from typing import Any

import pytest

from kuma.resources.kinds import dataplaneinsight as insights
from kuma.services.insights import telemetry_states


def of(mode: str = "Optional", **signals: Any) -> insights.Backend:
    told = {"name": "main", "envPolicy": {"mode": mode}, **signals}
    found = telemetry_states.of_document(json.dumps({"backends": [told]}).encode())
    assert found is not None
    return found.backends[0]


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ({}, "ready"),
        ({"blockedReasons": ["EnvDisabledByPolicy", "SignalOverridesDisallowed"]}, "ready"),
        ({"blockedReasons": ["RequiredEnvMissing"]}, "missing"),
        ({"missingFields": ["client_key"]}, "missing"),
        ({"missingFields": ["client_key"], "blockedReasons": ["MultipleBackendsForSignal"]}, "ambiguous"),
    ],
)
def test_states(told: dict[str, Any], state: str) -> None:
    found = of(logs={"enabled": True, **told}).logs
    assert found is not None
    assert found.state == state


def test_everything_that_is_told_is_shown() -> None:
    told = {"enabled": True, "envInputPresent": True, "overrideKinds": ["endpoint"], "blockedReasons": ["X"]}
    found = of(mode="Disabled", metrics={**told, "missingFields": ["y"], "refreshInterval": "5s"})
    assert (found.name, found.traces, found.logs) == ("main", None, None)
    assert found.metrics == insights.Signal(True, False, True, "missing", ("endpoint",), ("y",), ("X",))


def test_without_a_document_there_is_nothing_to_show() -> None:
    assert telemetry_states.of_document(None) is None
