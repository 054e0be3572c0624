"""What `kuma-cp run` says before it starts."""

from pathlib import Path

import pytest
from click import testing

from kuma.apps.control_plane import main


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "cp.yaml"
    path.write_text("apiServer: {http: {prot: 1}}\nstor: {}\n")
    return str(path)


def test_a_strict_start_refuses_what_no_setting_has(config: str) -> None:
    done = testing.CliRunner().invoke(
        main.main, ["run", "--strict-config", "-c", config], env={"KUMA_STORE_TYP": "memory", "KUMA_CORPUS": None}
    )
    assert done.exit_code == 1
    assert done.output.splitlines() == [
        "Error: the configuration is not clean:",
        'unknown key "apiServer.http.prot" has no effect, did you mean "apiServer.http.port"?',
        'unknown key "stor" has no effect, did you mean "store"?',
        'unknown environment variable "KUMA_STORE_TYP" has no effect, did you mean "KUMA_STORE_TYPE"?',
    ]


def test_a_log_file_that_cannot_be_opened_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "cp.log"
    done = testing.CliRunner().invoke(main.main, ["--log-output-path", str(path), "run"])
    assert done.exit_code == 1
    assert done.output == f'Error: could not open log file "{path}": File exists\n'


def test_a_value_of_the_wrong_type_is_named_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "cp.yaml"
    path.write_text("apiServer: {http: {port: many}}\n")
    done = testing.CliRunner().invoke(main.main, ["run", "-c", str(path)])
    assert done.exit_code == 1
    assert done.output == (
        f"Error: parsing configuration from file '{path}' failed: "
        "apiServer.http.port: expected a whole number, got a text\n"
    )
