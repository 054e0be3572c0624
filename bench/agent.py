"""Size and speed of kuma-dp: `python -m bench.agent` prints its RSS without Envoy, and times from start to Envoy.

The control plane is our own bootstrap server alone, on a free port: what is measured ends when Envoy runs, and the
agent's size does not depend on what Envoy is told later.
"""

import asyncio
import os
import pathlib
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime

import uvicorn

from bench import figures
from kuma.base import errors
from kuma.envoy import bootstrap
from kuma.resources import builtin, catalog, codec
from kuma.resources import resource as res
from kuma.resources.kinds import mesh
from kuma.security import certificates
from kuma.servers import agents

RUNS = 5
RSS_BUDGET = 35.0
SETTLE = 2.0
"""Seconds after Envoy's start at which the size is read."""


class OneMesh:
    """A store that holds the default mesh and nothing else."""

    async def get(self, key: res.Key) -> res.Resource[mesh.Mesh]:
        """The mesh; NotFound for anything else."""
        if key != res.Key("Mesh", "", "default"):
            raise errors.NotFound(str(key))
        return codec.decode(mesh.KIND, {"type": "Mesh", "name": "default"})


async def goodbye(key: res.Key, credential: str, definition: str = "") -> None:
    """Nothing is registered here."""


async def start_server(folder: pathlib.Path) -> tuple[uvicorn.Server, asyncio.Future[None], int]:
    """The bootstrap server on a free port, its certificate in `folder`; its end can be awaited."""
    pair = certificates.self_signed(["localhost"], datetime.now(UTC))
    (folder / "ca.pem").write_bytes(pair.cert_pem)
    (folder / "key.pem").write_bytes(pair.key_pem)
    app = agents.build(
        agents.Deps(
            resources=OneMesh(),
            catalog=catalog.Catalog(builtin.CORE_KINDS),
            goodbye=goodbye,
            certificate=pair.cert_pem,
            params=bootstrap.Params(hds_enabled=False),
            dataplane_token_required=False,
        )
    )
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_level="error",
        lifespan="off",
        ssl_certfile=folder / "ca.pem",
        ssl_keyfile=folder / "key.pem",
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
        if serving.done():
            await serving
    return server, serving, server.servers[0].sockets[0].getsockname()[1]


def sizes(pid: int) -> dict[str, float]:
    """RSS of a process, and the part that is its own alone, in MB."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name: int(fields[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon") if name in fields}


async def run_once(port: int, folder: pathlib.Path) -> tuple[float, dict[str, float]]:
    """Seconds from the start of the agent to the start of Envoy, and the agent's sizes once things are quiet."""
    command = [str(pathlib.Path(sys.executable).with_name("kuma-dp")), "run"]
    command += ["--cp-address", f"https://localhost:{port}", "--ca-cert-file", str(folder / "ca.pem")]
    command += ["--service", "web", "--port", "8080", "--drain-time", "10ms", "--envoy-log-level", "error"]
    begin = time.perf_counter()
    agent = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env={**os.environ})
    assert agent.stderr is not None
    while line := await agent.stderr.readline():
        if b"Envoy started" in line:
            break
    else:
        raise SystemExit("kuma-dp ended before it started Envoy")
    taken = time.perf_counter() - begin
    await asyncio.sleep(SETTLE)
    measured = sizes(agent.pid)
    agent.terminate()
    await agent.communicate()
    return taken, measured


async def measure() -> list[tuple[float, dict[str, float]]]:
    """Times and sizes of `RUNS` agents, one after the other."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server, serving, port = await start_server(folder)
        runs = [await run_once(port, folder) for _ in range(RUNS)]
        server.should_exit = True
        await serving
    return runs


def run() -> list[figures.Figure]:
    """The largest sizes and the median time of the runs."""
    runs = asyncio.run(measure())
    times = [taken for taken, _ in runs]
    found = [figures.Figure("kuma-dp: RSS without Envoy", max(each["VmRSS"] for _, each in runs), "MB", RSS_BUDGET, 76)]
    if all("RssAnon" in each for _, each in runs):
        found.append(figures.Figure("kuma-dp: of it private", max(each["RssAnon"] for _, each in runs), "MB", kuma=21))
    return [*found, figures.Figure("kuma-dp: start to Envoy", statistics.median(times) * 1000, "ms")]


if __name__ == "__main__":
    print(figures.table(run()))
