"""A stub control plane, and a way to call kumactl against it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kuma.apps.kumactl import kinds
from tests.kit import cli, rest_stub

Call = Callable[..., cli.Outcome]


@pytest.fixture
def stub() -> Iterator[rest_stub.Stub]:
    with rest_stub.serve(rest_stub.Stub(kinds.catalog())) as running:
        yield running


@pytest.fixture
def call(stub: rest_stub.Stub, tmp_path: Path) -> Call:
    config = tmp_path / "kumactl" / "config"

    def run(*args: str, stdin: str = "") -> cli.Outcome:
        return cli.kumactl(["--config-file", str(config), *args], stdin)

    run("config", "control-planes", "add", "--name", "stub", "--address", stub.url)
    return run
