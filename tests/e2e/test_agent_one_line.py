"""`kuma-dp run --service ... -- COMMAND` with real parts: enrol, serve, end."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kuma.apps.dataplane.joining import host
from tests.kit import universal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

RSS_BUDGET = 35 * 1024


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[universal.ControlPlane]:
    with universal.control_plane(tmp_path_factory.mktemp("one-line")) as running:
        yield running


@pytest.fixture
def agents(plane: universal.ControlPlane) -> Iterator[universal.Agents]:
    with universal.agents(plane) as running:
        yield running


def serve(agents: universal.Agents, folder: Path, text: str, *flags: str) -> tuple[universal.Process, str, int]:
    """An HTTP server that says `text`, as a service of that name; its agent, Dataplane and port."""
    port = universal.free_port()
    (folder / "index.html").write_text(text)
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(folder)]
    agent = agents.run("--service", text, "--port", str(port), *flags, "--", *command)
    return agent, f"{text}-{host.host_label()}-{port}", port


def test_two_lines_make_a_mesh(plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path) -> None:
    outbound = universal.free_port()
    api, name, port = serve(agents, tmp_path, "api", "--protocol", "http", "--tag", "version=v1")
    client = agents.run("--service", "web", "--port", "1", "--outbound", f"api={outbound}")

    answer = universal.eventually(
        lambda: universal.get(f"http://127.0.0.1:{outbound}/")[0] == 200 or None,
        f"traffic from web to api\n{api.output[-1500:]}\n{client.output[-1500:]}",
    )

    assert answer
    dataplane = plane.dataplane(name)
    assert dataplane is not None
    inbound = dataplane["networking"]["inbound"][0]
    assert (inbound["servicePort"], inbound["serviceAddress"]) == (port, "127.0.0.1")
    assert inbound["tags"]["kuma.io/service"] == "api"
    assert inbound["tags"]["kuma.io/protocol"] == "http"
    assert inbound["tags"]["version"] == "v1"
    assert inbound["port"] >= 15100
    second = agents.run("--service", "web2", "--port", "1", "--outbound", f"api={outbound}")
    assert second.wait() == 1
    assert f"Error: outbound port {outbound} on 127.0.0.1 is taken; choose another port with --outb" in second.output
    assert universal.get(f"{plane.api}/meshes/default/dataplanes/{name}/stats")[0] == 200
    for agent in (api, client):
        status = Path(f"/proc/{agent.pid}/status").read_text()
        rss = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        assert rss < RSS_BUDGET


def test_a_goodbye_is_heard_within_a_second(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    agent, name, _ = serve(agents, tmp_path, "leaving")
    universal.eventually(lambda: plane.is_online(name), f"{name} is online\n{agent.output[-1500:]}")
    universal.eventually(lambda: len(universal.children_of(agent.pid)) == 2, "the command runs")
    envoy = agent.envoy()

    agent.popen.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    universal.eventually(lambda: plane.dataplane(name) is None, "Dataplane is gone", patience=1.0)

    assert time.monotonic() - begin < 1.0
    assert agent.wait() == 128 + signal.SIGTERM
    assert not universal.is_alive(envoy)
    assert plane.dataplane(name) is None


def test_the_exit_code_is_the_commands(plane: universal.ControlPlane, agents: universal.Agents) -> None:
    agent = agents.run("--service", "short", "--port", "1", "--name", "short-1", "--", "sh", "-c", "echo done; exit 7")

    assert agent.wait() == 7
    assert "done" in agent.output.splitlines()
    assert plane.dataplane("short-1") is None


def test_a_command_that_does_not_exist(agents: universal.Agents) -> None:
    agent = agents.run("--service", "typo", "--port", "1", "--", "/no/such/command")

    assert agent.wait() == 127
    assert "Error: could not start /no/such/command: No such file or directory" in agent.output


def test_a_calm_terminal_and_a_quick_return(tmp_path: Path) -> None:
    plane = universal.ControlPlane(tmp_path)
    try:
        plane.start()
        with universal.agents(plane) as agents:
            agent = agents.run("--service", "calm", "--name", "calm-1", "--port", "1")
            joined = "calm joined the mesh default as calm-1"
            universal.eventually(lambda: joined in agent.output, f"joined\n{agent.output[-1500:]}")
            plane.kill()
            universal.eventually(lambda: "Envoy lost the control plane" in agent.output, "the loss is told")
            plane.start()
            universal.eventually(lambda: plane.is_online("calm-1"), "online again", patience=8)
            agent.popen.send_signal(signal.SIGTERM)
            assert agent.wait() == 0
            lines = [each.split("\t")[-1] for each in agent.output.splitlines()]
            assert [each.split(":")[0].split(",")[0] for each in lines] == [
                "bootstrapped",
                "Envoy started",
                joined,
                "Envoy lost the control plane",
                "leaving",
            ]
            assert "ready=http://127.0.0.1:" in lines[0]
    finally:
        plane.end()


def test_the_command_gets_the_signal(agents: universal.Agents) -> None:
    script = "trap 'echo bye; exit 3' INT; echo up; while :; do sleep 0.05; done"
    agent = agents.run("--service", "trap", "--port", "1", "--", "sh", "-c", script)
    universal.eventually(lambda: "up" in agent.output.splitlines(), f"command runs\n{agent.output[-1500:]}")

    agent.popen.send_signal(signal.SIGINT)

    assert agent.wait() == 3
    assert "bye" in agent.output.splitlines()


def test_when_envoy_dies_everything_ends(agents: universal.Agents) -> None:
    agent = agents.run("--service", "victim", "--port", "1", "--", "sleep", "1000")
    command = universal.eventually(
        lambda: next((pid for pid, name in universal.children_of(agent.pid).items() if name != "envoy"), None),
        f"command runs\n{agent.output[-1500:]}",
    )
    os.kill(agent.envoy(), signal.SIGKILL)

    assert agent.wait() == 1
    assert "Error: Envoy ended with signal SIGKILL; its last words:" in agent.output
    assert not universal.is_alive(command)


def test_a_killed_agent_leaves_no_process_behind(agents: universal.Agents, tmp_path: Path) -> None:
    agent = agents.run("--service", "killed", "--port", "1", "--work-dir", str(tmp_path), "--", "sleep", "1000")
    universal.eventually(lambda: len(universal.children_of(agent.pid)) == 2, f"both children\n{agent.output[-1500:]}")
    children = universal.children_of(agent.pid)

    agent.popen.kill()
    agent.popen.wait()

    universal.eventually(lambda: not any(map(universal.is_alive, children)), "children are gone")


def test_a_proxy_that_comes_back_brings_its_new_ports(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    def admin_port() -> int:
        dataplane = plane.dataplane("back")
        return int(dataplane["networking"]["admin"]["port"]) if dataplane else 0

    flags = ["--service", "back", "--name", "back", "--port", "1", "--work-dir", str(tmp_path)]
    agent = agents.run(*flags)
    universal.eventually(lambda: plane.is_online("back"), f"online\n{agent.output[-1500:]}")
    before = admin_port()
    agent.popen.kill()
    agent.popen.wait()

    again = agents.run(*flags)

    universal.eventually(
        lambda: plane.is_online("back") and admin_port() not in (0, before), f"new port\n{again.output[-1500:]}"
    )
