"""The document that Envoy serves at `/meshmetric`."""

import json
from typing import Any

import pytest

from kuma.apps.dataplane.metrics import config, profiles
from kuma.base import durations


def read(**metrics: Any) -> config.Metrics:
    return config.read_config(json.dumps({"observability": {"metrics": metrics}}).encode())


def test_everything_that_can_be_said() -> None:
    found = read(
        applications=[{"name": "app", "path": "/m", "port": 8888, "address": "10.0.0.1"}, {"port": 1, "name": None}],
        backends=[
            {"type": "Prometheus", "name": None},
            {"type": "OpenTelemetry", "name": "o", "openTelemetry": {"endpoint": "/a.sock", "refreshInterval": "1m0s"}},
        ],
        sidecar={
            "includeUnused": True,
            "profiles": {
                "appendProfiles": [{"name": "All"}],
                "exclude": [{"type": "Exact", "match": "a"}],
                "include": [{"type": "Prefix", "match": "b"}],
            },
        },
        extraLabels={"mesh": "m"},
        fromTheFuture=1,
    )
    assert found.applications == (
        config.Application("/m", 8888, "10.0.0.1", "app"),
        config.Application("/metrics", 1, "", None),
    )
    assert found.backends is not None
    assert [each.interval for each in found.backends] == [30 * durations.SECOND, durations.MINUTE]
    assert found.chosen_sidecar.include_unused is True
    assert found.chosen_sidecar.chosen == profiles.Profiles(
        ("All",), (profiles.Selector("Exact", "a"),), (profiles.Selector("Prefix", "b"),)
    )
    assert found.extra_labels == {"mesh": "m"}


def test_nothing_said_means_the_defaults() -> None:
    found = read(applications=None, backends=None, sidecar=None, extraLabels=None)
    assert found.chosen_sidecar.chosen == profiles.Profiles()
    assert not found.chosen_sidecar.include_unused


def test_an_interval_is_a_second_at_least() -> None:
    backend = config.Backend("OpenTelemetry", "o", config.OpenTelemetry("/a.sock", "1ms"))
    assert backend.interval == durations.SECOND


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"{", "Input data was truncated"),
        (b"{}", "observability"),
        (b'{"observability":{"metrics":{"applications":[{"port":"x"}]}}}', r"\$\.observability\.metrics\.applications\[0\]\.port"),
        (
            b'{"observability":{"metrics":{"backends":[{"type":"OpenTelemetry","openTelemetry":{"endpoint":"e",'
            b'"refreshInterval":"soon"}}]}}}',
            r"observability\.metrics\.backends\[0\]\.openTelemetry\.refreshInterval: time: invalid duration",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_where(document: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        config.read_config(document)
