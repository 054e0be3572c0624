"""The agent's memory while it exports: `python -m bench.exporter SOCKET` asks the admin API of an Envoy there.

A process of its own for `bench.telemetry`, with all that an agent has loaded by then; it prints MB at the peak.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import yaml  # noqa: F401 - Envoy's configuration was read with it

from kuma.apps.dataplane.metrics import assembly, config, scraping, source
from kuma.apps.dataplane.supervised import envoy

EXPORTS = 3
LABELS = {f"label_{index}": "value" for index in range(10)}
"""What a control plane adds to every series."""


async def export(metrics: source.Source) -> None:
    """One export, as the agent makes it; what would be sent is thrown away."""
    requests = assembly.as_requests(await metrics.scrape({}, scraping.DEFAULT_SECONDS), time.time_ns())
    while await asyncio.to_thread(next, requests, None) is not None:
        pass


async def main(socket: str) -> None:
    """Some exports of everything, one after the other."""
    metrics = source.Source(scraping.Scraper(envoy.Admin(socket), False), "127.0.0.1", [])
    everything = {"sidecar": {"profiles": {"appendProfiles": [{"name": "All"}]}}, "extraLabels": LABELS}
    metrics.configure(config.read_config(json.dumps({"observability": {"metrics": everything}}).encode()))
    for _ in range(EXPORTS):
        await export(metrics)


def peak() -> float:
    """MB that this process had at its largest."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
    print(peak())
