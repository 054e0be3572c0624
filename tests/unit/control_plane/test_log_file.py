"""The log file: cut by size, old parts thrown away by number and age, a full disk survived."""

import os
import stat
from pathlib import Path

import pytest

from kuma.apps.control_plane import log_file
from kuma.base import errors

START = 1_800_000_000.0
DAY = 86_400.0
LINE = "x" * 600_000 + "\n"
"""Two of them are more than a megabyte."""


class Clock:
    """A clock that the test moves."""

    now = START

    def __call__(self) -> float:
        return self.now


def parts(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.name != "cp.log")


def test_lines_are_appended_to_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "cp.log"
    for line in ("one\n", "two\n"):
        log = log_file.LogFile(path, log_file.Limits())
        log.write(line)
        log.close()
    assert path.read_text() == "one\ntwo\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_a_large_file_is_cut(tmp_path: Path) -> None:
    log = log_file.LogFile(tmp_path / "cp.log", log_file.Limits(size=1), Clock())
    log.write(LINE)
    log.write(LINE)
    assert parts(tmp_path) == ["cp-2027-01-15T08-00-00.000.log"]
    assert (tmp_path / "cp.log").read_text() == LINE == (tmp_path / parts(tmp_path)[0]).read_text()
    log.close()


def test_parts_beyond_number_and_age_go(tmp_path: Path) -> None:
    clock = Clock()
    (tmp_path / "cp-notes.log").write_text("not a part")
    log = log_file.LogFile(tmp_path / "cp.log", log_file.Limits(size=1, files=2, days=30), clock)
    for _ in range(5):
        clock.now += 1
        log.write(LINE)
    assert len(parts(tmp_path)) == 3
    clock.now += 31 * DAY
    log.write(LINE)
    assert parts(tmp_path) == ["cp-2027-02-15T08-00-05.000.log", "cp-notes.log"]
    log.close()


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.Unavailable, match="could not open log file"):
        log_file.LogFile(tmp_path / "file" / "cp.log", log_file.Limits())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_sends_lines_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    log = log_file.LogFile(Path("/dev/full"), log_file.Limits())
    assert log.write("kept\n") == 5
    assert capsys.readouterr().err == "kept (not in the log file: No space left on device)\n"
    log.close()
