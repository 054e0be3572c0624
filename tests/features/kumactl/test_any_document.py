"""Whatever kumactl is given, it ends with 0, or with 1 and a message that says what is wrong: never with a traceback."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kuma.apps.kumactl import kinds, main
from tests.kit import cli, odd_documents, rest_stub

BOUNDED = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
PLACEHOLDERS = st.sampled_from(["a=b", "a.b=c", "a=", "=x", ".=x", "a=- b\n", "a={{a}}", "name=x"])


@pytest.fixture(scope="module")
def stub() -> Iterator[rest_stub.Stub]:
    """A control plane that takes everything."""
    made = rest_stub.Stub(kinds.catalog())
    made.fallback = {}
    with rest_stub.serve(made) as running:
        yield running


@pytest.fixture(scope="module")
def config(stub: rest_stub.Stub, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("kumactl") / "config")
    cli.kumactl(["--config-file", path, "config", "control-planes", "add", "--name", "s", "--address", stub.url])
    return path


def check(done: cli.Outcome) -> None:
    """The end of a command that a user can make sense of, and that a terminal can show."""
    assert done.code in (0, 1)
    assert bool(done.code) == ("Error: " in done.err)
    assert main.UNEXPECTED not in done.err
    done.both.encode()


@BOUNDED
@given(text=odd_documents.texts(), values=st.lists(PLACEHOLDERS, max_size=2), dry=st.booleans())
@example(text="type: Mesh\nname: m\nx: !!bool y\n", values=[], dry=True)
@example(text="type: Mesh\nname: m\nx: &a [*a]\n", values=[], dry=True)
@example(text="type: Mesh\nname: m\nx: " + "[" * 200_000 + "]" * 200_000, values=[], dry=True)
@example(text="{{}}", values=["a=b"], dry=True)
def test_any_text_can_be_applied(config: str, text: str, values: list[str], dry: bool) -> None:
    args = [each for value in values for each in ("--var", value)] + (["--dry-run"] if dry else [])
    done = cli.kumactl(["--config-file", config, "apply", "-f", "-", *args], text)
    check(done)
    if done.code:
        assert "resource[" in done.err or "placeholders" in done.err or "no resource(s) passed" in done.err, done.err


@BOUNDED
@given(body=st.binary(max_size=100))
@example(body=b"name: \xff")
def test_any_bytes_can_be_applied(config: str, body: bytes) -> None:
    check(cli.kumactl(["--config-file", config, "apply", "-f", "-"], body))


WORDS = st.text(max_size=8) | st.sampled_from(
    ["", ".", "..", "/", "%", "?a=b", "#", "a b", "\r\nX: y", "-", "--", "a=b", "a,b", "\udcff", "x" * 5_000, "9" * 30 + "h", "1h",
     "http://", "http://[::1", "http://a:99999", "http://.", "http://" + "a" * 70, "ftp://x", "/nope", "tokens", "token=a\nb",
     "x y=1", "ingress", "server", "client", "*.x", "::1"]
)  # fmt: skip
COMMANDS = st.sampled_from(
    [
        ["get", "meshes", "--offset"],
        ["get", "dataplane", "-m", "m"],
        ["get"],
        ["delete", "dataplane"],
        ["delete"],
        ["inspect", "dataplane"],
        ["inspect", "dataplanes", "--tag"],
        ["inspect", "meshtimeout"],
        ["inspect", "zoneingress", "--type"],
        ["export", "--profile"],
        ["generate", "dataplane-token", "--valid-for", "1h", "--name"],
        ["generate", "dataplane-token", "--valid-for"],
        ["generate", "dataplane-token", "--valid-for", "1h", "--tag"],
        ["generate", "zone-token", "--valid-for", "1h", "--zone", "z", "--scope"],
        ["generate", "user-token", "--valid-for", "1h", "--name"],
        ["generate", "user-token", "--valid-for", "1h", "--name", "n", "--kid", "1", "--signing-key-path"],
        ["generate", "public-key", "--signing-key-path"],
        [
            "generate",
            "tls-certificate",
            "--key-type=ecdsa",
            "--cert-file=-",
            "--key-file=-",
            "--type=server",
            "--hostname",
        ],
        ["config", "control-planes", "switch", "--name"],
        ["config", "control-planes", "remove", "--name"],
        ["--token"],
        ["apply", "-f"],
    ]
)


@BOUNDED
@given(command=COMMANDS, words=st.lists(WORDS, min_size=1, max_size=3))
def test_any_words_can_follow_a_command(
    stub: rest_stub.Stub, tmp_path: Path, command: list[str], words: list[str]
) -> None:
    check_words(stub, tmp_path, [*command, *words])


ADD = ["config", "control-planes", "add"]
FLAGS = st.sampled_from(
    ["--name", "--address", "--headers", "--auth-type", "--auth-conf", "--ca-cert-file", "--client-cert-file"]
)


@BOUNDED
@given(
    flags=st.lists(st.tuples(FLAGS, WORDS), max_size=3), more=st.sampled_from([[], ["--skip-check"], ["--overwrite"]])
)
@example(flags=[("--headers", "a=b\r\nc: d")], more=[])
@example(flags=[("--auth-type", "tokens"), ("--auth-conf", "token=a\nb")], more=[])
def test_any_control_plane_can_be_added(
    stub: rest_stub.Stub, tmp_path: Path, flags: list[tuple[str, str]], more: list[str]
) -> None:
    given_words = [each for pair in flags for each in pair]
    check_words(stub, tmp_path, [*ADD, "--name", "n", "--address", stub.url, *given_words, *more])


def check_words(stub: rest_stub.Stub, folder: Path, args: list[str]) -> None:
    """Runs a command with a configuration of its own; a name lookup may not leave this machine."""
    config = folder / "config"
    config.unlink(missing_ok=True)
    cli.kumactl(["--config-file", str(config), *ADD, "--name", "s", "--address", stub.url, "--skip-check"])
    with contextlib.chdir(folder), offline():
        check(cli.kumactl(["--config-file", str(config), *args]))


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Every name but this machine's is unknown."""
    import socket

    real = socket.getaddrinfo

    def lookup(host: Any, *args: Any, **more: Any) -> Any:
        if host != "127.0.0.1":
            str(host).encode("idna")
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return real(host, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lookup)
        yield


@BOUNDED
@given(text=odd_documents.texts() | st.binary(max_size=60))
def test_any_configuration_file_is_read_or_named(tmp_path: Path, text: str | bytes) -> None:
    config = tmp_path / "config"
    config.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    done = cli.kumactl(["--config-file", str(config), "config", "control-planes", "list"])
    check(done)
    assert done.code == 0 or str(config) in done.err


@BOUNDED
@given(
    answer=odd_documents.JSON,
    args=st.sampled_from([["get", "meshes"], ["get", "mesh", "m"], ["inspect", "zones"], ["export"]]),
)
def test_any_answer_of_a_server_ends_in_words(stub: rest_stub.Stub, config: str, answer: Any, args: list[str]) -> None:
    with mock.patch.object(stub, "canned", {"/": (200, answer)}), mock.patch.object(stub, "fallback", answer):
        done = cli.kumactl(["--config-file", config, *args])
    assert done.code in (0, 1)
    assert bool(done.code) == ("Error: " in done.err)
