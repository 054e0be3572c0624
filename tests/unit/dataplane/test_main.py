"""The command line itself: errors, wait, version, and that the agent stays small."""

import subprocess
import sys
from pathlib import Path

import pytest

from kuma.apps.dataplane import waiting
from kuma.apps.dataplane.failure import AgentError
from tests.unit.dataplane.servers import answering, http


def kuma_dp(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kuma.apps.dataplane.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["run", "--alien"], "Error: No such option"),
        (["alien"], "Error: No such command"),
        (["run", "--drain-time", "x"], 'Error: invalid argument "x" for "--drain-time" flag'),
        (["run", "--log-output-path", "/absent/log"], "Error: could not write the log to /absent/log"),
        (["run"], "--service NAME --port PORT to enrol a process, -d FILE"),
        (["run", "--dataplane", "type: Dataplane"], "the definition lacks the field name"),
        (
            ["run", "--dataplane", "{type: Dataplane, name: '{{ web.name }}', mesh: {{ m }}}", "-v", "m=x"],
            "the Dataplane definition has no name, and its template variables web.name have no value; "
            "give them with --dataplane-var web.name=VALUE",
        ),
        (["wait", "--timeout", "x"], 'Error: invalid argument "x" for "--timeout" flag'),
        (["wait", "--url", "http://192.0.2.1/ready"], "must be a loopback address"),
    ],
)
def test_errors_end_with_1(arguments: list[str], text: str) -> None:
    ended = kuma_dp(*arguments)

    assert ended.returncode == 1
    assert text in ended.stderr
    assert "Traceback" not in ended.stderr


def test_help_shows_defaults_and_which_url_to_wait_for() -> None:
    shown = " ".join(kuma_dp("run", "--help").stdout.split())

    assert "(default: 30s) [KUMA_DATAPLANE_DRAIN_TIME]" in shown
    assert "(default: https://localhost:5678)" in shown
    assert "(default: true)" in shown
    assert "http://localhost:9902/ready" in kuma_dp("wait", "--help").stdout


def test_version() -> None:
    assert kuma_dp("version").stdout == "Kuma: 2.14.3\n"


def test_logs_go_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"

    ended = kuma_dp("run", "--log-output-path", str(path), "--dns-coredns-path", "x", "--proxy-type", "alien")

    assert f'kuma-dp: logs will be stored in "{path}"' in ended.stdout
    assert "--dns-coredns-path has no effect" in path.read_text()


async def test_wait_returns_once_the_proxy_is_ready() -> None:
    async with answering(http(503), http(503), http(200)) as server:
        await waiting.wait_until_ready(f"http://localhost:{server.port}/ready", "", 0.001, 10, 1)

    assert len(server.requests) == 3


async def test_wait_gives_up() -> None:
    async with answering(http(503)) as server:
        with pytest.raises(AgentError, match="timeout occurred"):
            await waiting.wait_until_ready(f"http://127.0.0.1:{server.port}/ready", "", 0.001, 0.05, 1)


def test_the_agent_loads_nothing_heavy() -> None:
    heavy = "grpc pydantic cryptography google msgspec yaml chevron starlette uvicorn h2 structlog kuma.resources"
    script = (
        "import sys; import kuma.apps.dataplane.main, kuma.apps.dataplane.agent, kuma.apps.dataplane.waiting\n"
        f"print([each for each in {heavy.split()} if each in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert loaded.stdout == "[]\n"
