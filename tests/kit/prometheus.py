"""A real Prometheus, for tests that ask it what it read. Optional: `binary` is None where it is not installed."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.kit import network, planes, processes

WHY_NOT = "Prometheus is not installed: `prometheus` is not on PATH"


def binary() -> str | None:
    """The path of its program."""
    return shutil.which("prometheus")


class Prometheus:
    """One that scrapes every second."""

    def __init__(self, port: int) -> None:
        self.port = port

    def query(self, expression: str) -> list[dict[str, str]]:
        """The series that an expression gives now: labels, and the value as `value`."""
        answer = planes.ask("127.0.0.1", self.port, "GET", f"/api/v1/query?{urlencode({'query': expression})}")
        assert answer.status == 200, answer.text
        return [{**each["metric"], "value": each["value"][1]} for each in answer.document["data"]["result"]]

    def problems(self) -> dict[str, str]:
        """By target: why the last scrape failed; empty where all went well."""
        answer = planes.ask("127.0.0.1", self.port, "GET", "/api/v1/targets")
        return {each["scrapeUrl"]: each["lastError"] for each in answer.document["data"]["activeTargets"]}


@contextlib.contextmanager
def prometheus(folder: Path, job: dict[str, Any]) -> Iterator[Prometheus]:
    """A Prometheus with one scrape job, ready. `folder` takes its configuration, data and log."""
    program, made = binary(), Prometheus(network.free_port("127.0.0.1"))
    assert program is not None, WHY_NOT
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.json"  # JSON is YAML
    config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    arguments = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    arguments.append(f"--web.listen-address=127.0.0.1:{made.port}")
    running = processes.Program(program, arguments, {}, folder / "prometheus.log")

    def is_ready() -> bool:
        return planes.ask("127.0.0.1", made.port, "GET", "/-/ready").status == 200

    try:
        running.until_running("Prometheus ready", is_ready)
        yield made
    finally:
        running.end()
