"""The directory of a run: private, and removed by the next agent where its own was killed."""

import multiprocessing
import os
import stat
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from kuma.apps.dataplane.joining import workdir


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_only_its_owner_may_enter() -> None:
    with ExitStack() as resources:
        made = workdir.make_workdir(resources)
        assert stat.S_IMODE(os.stat(made).st_mode) == 0o700
    assert not os.path.exists(made)


def _make_and_die(folder: str) -> None:
    tempfile.tempdir = folder
    workdir.make_workdir(ExitStack())
    os._exit(9)


def test_what_a_killed_agent_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    others = tmp_path / "kuma-dp-without-lock"
    others.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").touch()
    (tmp_path / "kuma-dp-link").symlink_to(elsewhere)
    dying = multiprocessing.get_context("spawn").Process(target=_make_and_die, args=(str(tmp_path),))
    dying.start()
    dying.join()
    assert len(list(tmp_path.glob("kuma-dp-*"))) == 3

    with ExitStack() as resources:
        first = workdir.make_workdir(resources)
        second = workdir.make_workdir(resources)

        assert set(map(str, tmp_path.glob("kuma-dp-*"))) == {first, second, str(others), str(tmp_path / "kuma-dp-link")}
        assert (elsewhere / "lock").exists()
