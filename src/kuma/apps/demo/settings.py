"""What the demo can be told on its command line."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kuma.apps.demo import ports


@dataclass(frozen=True, slots=True)
class Settings:
    """Ports that people meet, and the folder that keeps what a second run finds again."""

    page_port: int
    api_port: int
    api_https_port: int
    dp_port: int
    diagnostics_port: int
    state_dir: Path
    fresh: bool

    @property
    def page_url(self) -> str:
        """Where the page answers."""
        return f"http://127.0.0.1:{self.page_port}"

    @property
    def api_url(self) -> str:
        """Where the control plane's REST API answers."""
        return f"http://127.0.0.1:{self.api_port}"

    def named_ports(self) -> Sequence[ports.Wanted]:
        """Every port that has to be free and that a flag can move."""
        return (
            ports.Wanted("the page", "--page-port", self.page_port),
            ports.Wanted("the REST API", "--api-port", self.api_port),
            ports.Wanted("the REST API over TLS", "--api-https-port", self.api_https_port),
            ports.Wanted("the data plane server", "--dp-port", self.dp_port, ports.EVERYWHERE),
            ports.Wanted("diagnostics", "--diagnostics-port", self.diagnostics_port, ports.EVERYWHERE),
        )


def read(args: Sequence[str]) -> Settings:
    """The settings of a command line; SystemExit with usage for one that cannot be read."""
    reader = argparse.ArgumentParser(
        prog="kumactl demo",
        description="Run a small mesh on this machine: a control plane and three services, each behind a real Envoy.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for name, default, text in (
        ("page", 8080, "port of the page"),
        ("api", 5681, "port of the control plane's REST API"),
        ("api-https", 5682, "port of the REST API over TLS"),
        ("dp", 5678, "port that proxies connect to"),
        ("diagnostics", 5680, "port of the control plane's health and metrics"),
    ):
        reader.add_argument(f"--{name}-port", type=_port, default=default, help=text, metavar="PORT")
    reader.add_argument("--state-dir", type=Path, default=Path(".demo"), help="folder for resources, tokens and logs")
    reader.add_argument("--fresh", action="store_true", help="forget the resources of earlier runs")
    return Settings(**vars(reader.parse_args(args)))


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port (1-65535)")
    return port
