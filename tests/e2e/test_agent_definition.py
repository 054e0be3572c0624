"""`kuma-dp run` with a Dataplane definition or an existing Dataplane: life, restarts, refusals."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit import universal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

TEMPLATE = """
type: Dataplane
mesh: default
name: {{ web.name }}
networking:
  address: 127.0.0.2
  admin: {port: {{ admin }}}
  inbound:
  - port: {{ port }}
    servicePort: 1
    tags: {kuma.io/service: web}
"""


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[universal.ControlPlane]:
    with universal.control_plane(tmp_path_factory.mktemp("definition")) as running:
        yield running


@pytest.fixture
def agents(plane: universal.ControlPlane) -> Iterator[universal.Agents]:
    with universal.agents(plane) as running:
        yield running


def variables(name: str) -> list[str]:
    pairs = {"web.name": name, "port": universal.free_port("127.0.0.2"), "admin": universal.free_port("127.0.0.2")}
    return [part for key, value in pairs.items() for part in ("-v", f"{key}={value}")]


def run_from_file(
    plane: universal.ControlPlane, agents: universal.Agents, folder: Path, name: str, *flags: str, **environ: str
) -> tuple[universal.Process, str]:
    """An agent with the template and a token; and the address of its readiness."""
    (folder / "dp.yaml").write_text(TEMPLATE)
    (folder / "token").write_text(plane.token(mesh="default", name=name))
    readiness = str(universal.free_port())
    arguments = ["--dataplane-token-file", str(folder / "token"), "-d", str(folder / "dp.yaml"), *variables(name)]
    agent = agents.run(*arguments, *flags, KUMA_READINESS_PORT=readiness, **environ)
    return agent, f"http://127.0.0.1:{readiness}/ready"


def ready(url: str) -> bool:
    return universal.get(url) == (200, "READY")


def await_line(agent: universal.Process, text: str) -> None:
    universal.eventually(lambda: text in agent.output, f"{text}\n{agent.output[-2000:]}")


def open_streams(plane: universal.ControlPlane, name: str) -> int:
    _, overview = universal.get(f"{plane.api}/meshes/default/dataplanes/{name}/_overview")
    subscriptions = json.loads(overview).get("dataplaneInsight", {}).get("subscriptions", [])
    return sum("disconnectTime" not in each for each in subscriptions)


def test_life_of_a_self_registered_proxy(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    agent, readiness = run_from_file(plane, agents, tmp_path, "life", "--work-dir", str(tmp_path / "work"))
    universal.eventually(lambda: ready(readiness), f"ready\n{agent.output[-2000:]}")
    assert plane.is_online("life")
    for secret in ("bootstrap.yaml",):
        assert os.stat(tmp_path / "work" / secret).st_mode & 0o777 == 0o600

    agent.popen.send_signal(signal.SIGTERM)
    universal.eventually(lambda: universal.get(readiness) == (503, "TERMINATING"), "says that it leaves")

    assert agent.wait() == 0
    assert plane.dataplane("life") is None


def test_a_second_signal_cuts_the_drain_short(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    agent, readiness = run_from_file(plane, agents, tmp_path, "hasty", "--drain-time", "1000s")
    universal.eventually(lambda: ready(readiness), f"ready\n{agent.output[-2000:]}")

    agent.popen.send_signal(signal.SIGTERM)
    universal.eventually(lambda: universal.get(readiness)[1] == "TERMINATING", "drains")
    agent.popen.send_signal(signal.SIGTERM)

    assert agent.wait() == 0
    assert "leaving: connections may finish for 1000 s" in agent.output


def test_envoy_is_restarted(plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path) -> None:
    agent, readiness = run_from_file(plane, agents, tmp_path, "phoenix", "--restart-envoy")
    universal.eventually(lambda: ready(readiness), f"ready\n{agent.output[-2000:]}")
    first = agent.envoy()

    os.kill(first, signal.SIGKILL)
    universal.eventually(lambda: not universal.is_alive(first), "first Envoy is gone")

    assert agent.envoy() != first
    universal.eventually(lambda: ready(readiness), f"ready again\n{agent.output[-2000:]}")
    assert agent.popen.poll() is None


def test_a_dataplane_of_others_stays(plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path) -> None:
    document: dict[str, Any] = {
        "type": "Dataplane",
        "mesh": "default",
        "name": "stored",
        "networking": {
            "address": "127.0.0.2",
            "admin": {"port": universal.free_port("127.0.0.2")},
            "inbound": [{"port": universal.free_port("127.0.0.2"), "tags": {"kuma.io/service": "stored"}}],
        },
    }
    plane.put("/meshes/default/dataplanes/stored", document)
    (tmp_path / "token").write_text(plane.token(mesh="default", name="stored"))
    token = ["--dataplane-token-file", str(tmp_path / "token")]
    port = str(universal.free_port())
    agent = agents.run("--name", "stored", "--mesh", "default", *token, KUMA_READINESS_PORT=port)
    universal.eventually(lambda: plane.is_online("stored"), f"online\n{agent.output[-2000:]}")

    agent.popen.send_signal(signal.SIGTERM)

    assert agent.wait() == 0
    assert plane.dataplane("stored") is not None


def test_the_control_plane_may_come_late_and_go(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    late = universal.ControlPlane(home)
    try:
        late.start()
        token = late.token(mesh="default", name="patient")
        late.kill()
        with universal.agents(late) as agents:
            (tmp_path / "dp.yaml").write_text(TEMPLATE)
            (tmp_path / "token").write_text(token)
            port = str(universal.free_port())
            files = ["--dataplane-token-file", str(tmp_path / "token"), "-d", str(tmp_path / "dp.yaml")]
            agent = agents.run(*files, *variables("patient"), KUMA_READINESS_PORT=port)
            readiness = f"http://127.0.0.1:{port}/ready"
            universal.eventually(lambda: "trying until there is" in agent.output, "the agent waits")

            late.start()
            universal.eventually(lambda: ready(readiness), f"ready\n{agent.output[-2000:]}")

            late.kill()
            assert ready(readiness)
            late.start()
            universal.eventually(lambda: late.is_online("patient"), f"online again\n{agent.output[-2000:]}")
            assert agent.popen.poll() is None
    finally:
        late.end()


@pytest.mark.parametrize(
    ("flags", "environ", "text"),
    [
        ([], {}, ".Dataplane is not valid: .Name must be non-empty. Say which proxy to run: --service NAME"),
        (["--name", "n"], {}, "Invalid request: Dataplane Token is required"),
        (["--name", "n", "--mesh", "m", "--dataplane-token-file", "/absent"], {}, "dataplane token is invalid"),
        (["--name", "n", "--mesh", "m", "--ca-cert-file", "/absent"], {}, "could not read certificate file /absent"),
        (["--name", "n", "--mesh", "m"], {}, "Invalid request: Dataplane Token is required"),
        (
            ["--name", "n", "--mesh", "m", "--cp-address", "{api}"],
            {},
            "There is no /bootstrap endpoint for provided CP address",
        ),
        (["--name", "n", "--mesh", "m", "--dataplane", "{}"], {}, "--name and --mesh cannot be specified"),
        (["--dataplane", '{"type": "Mesh"}'], {}, 'invalid proxy resource type "Mesh", expected Dataplane'),
        (["--service", "w"], {}, "--service needs --port"),
        (["--service", "w", "--port", "1", "--mesh", "typo"], {}, 'the mesh "typo" does not exist'),
        (["--alien"], {}, "No such option"),
    ],
)
def test_refusals(
    plane: universal.ControlPlane, agents: universal.Agents, flags: list[str], environ: dict[str, str], text: str
) -> None:
    port = str(universal.free_port())
    arguments = [each.replace("{api}", plane.api) for each in flags]
    agent = agents.run(*arguments, KUMA_READINESS_PORT=port, **environ)

    assert agent.wait() == 1
    assert f"Error: {text}" in agent.output or text in agent.output.rpartition("Error: ")[2]


def test_the_ca_of_a_control_plane_on_this_machine_is_found(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    agent, readiness = run_from_file(plane, agents, tmp_path, "trusting", "--ca-cert-file", "")

    universal.eventually(lambda: ready(readiness), f"ready\n{agent.output[-2000:]}")


def test_a_refused_proxy_says_so_and_does_not_wait(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    agent, _ = run_from_file(
        plane,
        agents,
        tmp_path,
        "refused",
        "--dataplane-token",
        plane.token(mesh="default", name="other"),
        "--drain-time",
        "1000s",
    )
    line = 'the control plane refuses this proxy: authentication failed: token is for the proxy "other", not for "ref'
    await_line(agent, line)
    told = (plane.folder / "kuma-cp.log").read_text()
    assert told.count('"event": "proxy refused", "proxy": "default.refused"') == 1

    agent.popen.send_signal(signal.SIGTERM)

    assert agent.wait() == 0
    assert "goodbye" not in agent.output


@pytest.mark.parametrize("leaves_first", [0, 1])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("ports", ["same", "different"])
def test_two_agents_of_one_dataplane(
    plane: universal.ControlPlane,
    agents: universal.Agents,
    tmp_path: Path,
    ports: str,
    how: signal.Signals,
    leaves_first: int,
) -> None:
    name = f"twice-{ports}-{how.name.lower()}-{leaves_first}"
    flags = ["--dataplane-token", plane.token(mesh="default", name=name)]
    (tmp_path / "dp.yaml").write_text(TEMPLATE)
    chosen = [variables(name) for _ in range(2)]
    if ports == "same":
        chosen[1] = chosen[0]
    running = []
    for each in chosen:
        readiness = str(universal.free_port())
        running.append(agents.run(*flags, "-d", str(tmp_path / "dp.yaml"), *each, KUMA_READINESS_PORT=readiness))
        await_line(running[-1], f"joined the mesh default as {name}")

    def inbound_port() -> int:
        dataplane = plane.dataplane(name)
        return int(dataplane["networking"]["inbound"][0]["port"]) if dataplane else 0

    def port_of(index: int) -> int:
        return int(next(each for each in chosen[index] if each.startswith("port=")).removeprefix("port="))

    assert inbound_port() == port_of(1)
    running[leaves_first].popen.send_signal(how)
    running[leaves_first].wait()
    stays = 1 - leaves_first
    universal.eventually(lambda: inbound_port() == port_of(stays), "the one that stays is registered", patience=5)
    universal.eventually(lambda: open_streams(plane, name) == 1, "the control plane notices the end", patience=5)
    assert inbound_port() == port_of(stays)

    running[stays].popen.send_signal(signal.SIGTERM)
    universal.eventually(lambda: inbound_port() == 0, "the last one takes the Dataplane along", patience=5)


def test_an_unknown_ca_is_refused(agents: universal.Agents, tmp_path: Path) -> None:
    from datetime import UTC, datetime

    from kuma.security import certificates

    (tmp_path / "ca.pem").write_bytes(certificates.self_signed(["localhost"], datetime.now(UTC)).cert_pem)
    agent = agents.run("--service", "w", "--port", "1", ca=tmp_path / "ca.pem")

    assert agent.wait() == 1
    assert "cannot be trusted" in agent.output
    assert f"by {tmp_path / 'ca.pem'}" in agent.output
    assert "--ca-cert-file" in agent.output


def test_a_missing_dataplane_is_named_once_patience_ends(
    plane: universal.ControlPlane, agents: universal.Agents, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(plane.token(mesh="default", name="absent"))
    identity = ["--name", "absent", "--mesh", "default", "--dataplane-token-file", str(tmp_path / "token")]
    port = str(universal.free_port())
    agent = agents.run(*identity, KUMA_READINESS_PORT=port, KUMA_CONTROL_PLANE_RETRY_MAX_DURATION="300ms")

    assert agent.wait() == 1
    assert "Error: Failed to fetch Envoy bootstrap config. Dataplane entity not found." in agent.output


def test_an_invalid_definition_names_the_field(agents: universal.Agents) -> None:
    document = {"type": "Dataplane", "mesh": "default", "name": "bad", "networking": {"address": "a b"}}
    port = str(universal.free_port())
    token = "eyJhbGciOiJSUzI1NiJ9.eyJNZXNoIjoiZGVmYXVsdCJ9.c2ln"
    flags = ["--dataplane", json.dumps(document), "--dataplane-token", token]
    agent = agents.run(*flags, KUMA_READINESS_PORT=port)

    assert agent.wait() == 1
    assert "networking.address: address has to be valid IP address or domain name" in agent.output
    assert token not in agent.output
