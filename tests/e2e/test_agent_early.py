"""An agent that is there before the control plane, on a machine where none ever ran."""

import signal
from pathlib import Path

import pytest

from tests.kit import universal

pytestmark = pytest.mark.e2e


def test_an_agent_waits_for_the_first_control_plane(tmp_path: Path) -> None:
    plane = universal.ControlPlane(tmp_path)
    command = [universal.script("kuma-dp"), "run", "--cp-address", plane.dp, "--cp-api-address", plane.api]
    command += ["--service", "early", "--name", "early-1", "--port", "1", "--label", "app=early", "--drain-time", "1s"]
    agent = universal.Process(command, tmp_path / "agent.log", plane.environ)
    try:
        universal.eventually(lambda: "nothing from the control plane yet" in agent.output, "the agent waits")
        assert not plane.ca.exists()
        plane.start()
        joined = "early joined the mesh default as early-1"
        universal.eventually(lambda: joined in agent.output, f"joined\n{agent.output[-1500:]}")
        dataplane = plane.dataplane("early-1")
        assert dataplane is not None
        assert dataplane["labels"]["app"] == "early"

        agent.popen.send_signal(signal.SIGTERM)
        assert agent.wait() == 0
        assert "lost the control plane" not in agent.output
    finally:
        agent.end()
        plane.end()
