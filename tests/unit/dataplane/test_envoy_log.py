"""Which of Envoy's lines the user sees, and what the agent says instead."""

import logging

import pytest

from kuma.apps.dataplane.supervised import envoy_log

REFUSED = (
    b"[2026-11-21 12:04:14.815][1][warning][config] [./source/grpc_stream.h:189] StreamAggregatedResources gRPC config "
    b'stream to ads_cluster closed: 16, authentication failed: token is for "other"{via_upstream}'
)
INVALID = b"[..][warning][config] X gRPC config stream to ads_cluster closed: 2, networking.address: bad{via_upstream}"
RETRYING = b"[..][warning][upstream] HdsDelegate stream/connection failure, will retry in 18 ms."
LOST = b"[..][warning][config] DeltaAggregatedResources gRPC config stream to ads_cluster closed: 13, reset"
LOST_SINCE = b"[..][warning][config] X gRPC config stream to ads_cluster closed since 31s ago: 14, no connection"
REJECTED = b"[..][warning][config] gRPC config for type.googleapis.com/x rejected: bad"
PROBING = b"[..][debug][misc] [source/server/cgroup_cpu_util.cc:488] Found cgroup v1"


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr(logging.getLogger("kuma-dp"), "propagate", True)
    caplog.set_level(logging.INFO, logger="kuma-dp")
    return caplog


@pytest.mark.parametrize(
    ("line", "quiet", "verbose", "passes"),
    [
        (REFUSED, True, False, False),
        (REFUSED, False, False, False),
        (REFUSED, False, True, True),
        (INVALID, True, False, False),
        (INVALID, False, False, False),
        (LOST, True, False, False),
        (LOST_SINCE, True, False, False),
        (LOST, False, False, True),
        (REJECTED, True, False, True),
        (RETRYING, False, False, False),
        (RETRYING, False, True, True),
        (PROBING, False, False, False),
        (PROBING, False, True, True),
    ],
)
def test_what_passes(line: bytes, quiet: bool, verbose: bool, passes: bool) -> None:
    assert envoy_log.EnvoyLog(quiet=quiet, verbose=verbose, now=Clock()).passes(line) is passes


@pytest.mark.parametrize("quiet", [True, False])
@pytest.mark.parametrize(
    ("line", "reason"),
    [(REFUSED, 'authentication failed: token is for "other"'), (INVALID, "networking.address: bad")],
)
def test_a_refusal_is_said_once(said: pytest.LogCaptureFixture, quiet: bool, line: bytes, reason: str) -> None:
    clock = Clock()
    log = envoy_log.EnvoyLog(quiet=quiet, verbose=False, now=clock)
    for _ in range(3):
        log.passes(line)
    message = f"the control plane refuses this proxy: {reason}"
    assert said.messages == [message]
    clock.seconds = envoy_log.AGAIN_AFTER
    log.passes(line)
    assert said.messages == [message, message]


@pytest.mark.parametrize("line", [LOST, REFUSED])
@pytest.mark.parametrize("quiet", [True, False])
def test_that_a_leaving_proxy_loses_its_stream_is_no_news(
    said: pytest.LogCaptureFixture, quiet: bool, line: bytes
) -> None:
    log = envoy_log.EnvoyLog(quiet=quiet, verbose=False, now=Clock())
    log.is_leaving = True
    assert not log.passes(line)
    assert log.passes(REJECTED)
    assert said.messages == []


def test_a_lost_control_plane_is_said_once(said: pytest.LogCaptureFixture) -> None:
    log = envoy_log.EnvoyLog(quiet=True, verbose=False, now=Clock())
    log.passes(LOST)
    log.passes(LOST_SINCE)
    assert len(said.messages) == 1
    assert "lost the control plane" in said.messages[0]
