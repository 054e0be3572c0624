"""What the demo says about ports and changes, before anything is started."""

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from kuma.apps.demo import cast, ports, processes, resources, settings, stage, watching
from kuma.apps.kumactl import kinds
from kuma.resources import codec
from tests.kit import rest_stub


def test_taken_ports_are_named_with_their_flags(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        chosen = settings.read(["--page-port", str(port), "--state-dir", str(tmp_path), *others(port)])
        with pytest.raises(stage.Failed, match=rf"port {port} \(the page\) is taken; choose another with --page-port"):
            stage.Stage(chosen).run()


def others(port: int) -> list[str]:
    names = ("--api-port", "--api-https-port", "--dp-port", "--diagnostics-port")
    return [word for flag, free in zip(names, ports.free_ports(4, [port]), strict=True) for word in (flag, str(free))]


def test_a_port_asked_for_twice_is_named() -> None:
    free = ports.free_ports(1, [])[0]
    assert ports.complaints([ports.Wanted("a", "--a", free), ports.Wanted("b", "--b", free)]) == [
        f"port {free} (b) is asked for twice; choose another with --b"
    ]


def test_the_resources_of_the_demo_are_valid() -> None:
    mesh = resources.with_mtls({"type": "Mesh", "name": "default", "creationTime": "2026-01-01T00:00:00Z"})
    for document in [mesh, *resources.permissions()]:
        kind = kinds.catalog().find(document["type"])
        assert kind is not None
        resource = codec.decode(kind, document)
        assert list(kind.validate(resource)) == []
        assert kind.deprecations is None or list(kind.deprecations(resource)) == []


def test_a_mesh_with_mtls_is_left_alone() -> None:
    assert not resources.is_set_up({"type": "Mesh", "name": "default"})
    assert resources.is_set_up(resources.with_mtls({"type": "Mesh", "name": "default"}))


def test_every_service_gets_ports_of_its_own_and_the_page_the_chosen_one() -> None:
    made = cast.services(8080, [1, 2, 3, 4])
    assert {each.name: each.port for each in made} == {"counter": 2, "api": 1, "web": 8080}
    assert len({*(each.port for each in made), *(p for each in made for p in each.outbounds.values())}) == 5


def test_changes_are_seen(stub: rest_stub.Stub) -> None:
    listed = [
        {"path": "meshes", "name": "Mesh", "readOnly": False},
        {"path": "secrets", "name": "Secret", "readOnly": False},
    ]
    stub.canned["/_resources"] = (200, {"resources": listed})
    watcher = watching.Watcher(int(stub.url.rsplit(":", 1)[1]))
    assert watcher.changes() == []
    stub.add({"type": "Mesh", "name": "one"})
    assert [str(each) for each in watcher.changes()] == ["Mesh one created"]
    stub.add({"type": "Mesh", "name": "one", "routing": {"zoneEgress": True}})
    assert [str(each) for each in watcher.changes()] == ["Mesh one changed"]
    stub.resources.clear()
    assert [str(each) for each in watcher.changes()] == ["Mesh one deleted"]
    assert not [path for _, path, _ in stub.requests if "secrets" in path]


def test_several_changes_are_told_together() -> None:
    one, two = (watching.Change("MeshTrafficPermission", name, "deleted") for name in ("a", "b"))
    assert watching.changes_text([one], (200, ""), "still") == (
        "MeshTrafficPermission a deleted: page still answers 200"
    )
    assert watching.changes_text([one, two], (403, "x"), "now") == (
        "After 2 changes (MeshTrafficPermission a deleted, MeshTrafficPermission b deleted): page now answers 403: x"
    )


def test_a_change_that_comes_before_the_effect_is_seen_is_told_with_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = watching.Change("Mesh", "a", "changed"), watching.Change("Mesh", "b", "changed")
    pending = [[second], []]
    pages = iter([(200, ""), (403, "x"), (403, "x"), (403, "x")])
    monkeypatch.setattr(stage, "STEP", 0.0)
    monkeypatch.setattr(stage, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(watching, "page_state", lambda port: next(pages, (403, "x")))
    watcher = watching.Watcher(1)
    monkeypatch.setattr(watcher, "changes", lambda: pending.pop(0))
    found = stage.Stage(settings.read(["--state-dir", str(tmp_path)]))._settled(watcher, [first], (200, ""), (200, ""))
    assert found == ([first, second], (403, "x"))


def test_what_the_page_does_is_one_phrase() -> None:
    assert watching.page_text((200, ""), "still") == "page still answers 200"
    assert watching.page_text((403, "web was refused by api (x)"), "now") == (
        "page now answers 403: web was refused by api (x)"
    )
    assert watching.page_text((0, ""), "now") == "page now does not answer"


def test_a_child_that_ignores_the_request_to_end_is_ended(tmp_path: Path) -> None:
    deaf = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('on', flush=True); signal.pause()"
    child = processes.Child("deaf", [sys.executable, "-c", deaf], dict(os.environ), tmp_path / "log")
    while "on" not in child.last_words():
        assert child.exit_code is None
    processes.end_all([child], 0.1)
    assert child.exit_code == -signal.SIGKILL


def test_secrets_are_for_the_owner_alone(tmp_path: Path) -> None:
    stage.write_secret(tmp_path / "t", "x")
    stage.write_secret(tmp_path / "t", "y")
    assert ((tmp_path / "t").read_text(), (tmp_path / "t").stat().st_mode & 0o777) == ("y", 0o600)
