"""Tokens and CAs as the agent checks them, without ever printing one."""

import stat
from pathlib import Path

import pytest

from kuma.apps.dataplane.failure import AgentError
from kuma.apps.dataplane.joining import credentials

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJNZXNoIjoiZGVmYXVsdCJ9.c2ln"


def test_a_token_is_read_without_the_space_around_it(tmp_path: Path) -> None:
    (tmp_path / "t").write_text(f"\n{TOKEN}\n")

    assert credentials.read_token(str(tmp_path / "t")) == TOKEN


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (f"{TOKEN}\n{TOKEN}", "more than one line"),
        ("garbage", "not valid JWT token"),
        ("secret1.secret2.secret3", "not JSON in base64"),
        ("MQ.MQ.x", "not an object"),
    ],
)
def test_wrong_token_files(tmp_path: Path, text: str, cause: str) -> None:
    (tmp_path / "t").write_text(text)

    with pytest.raises(AgentError, match="dataplane token is invalid, in Kubernetes you must mount") as refused:
        credentials.read_token(str(tmp_path / "t"))
    assert cause in str(refused.value)
    assert "secret" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_missing_token_file_is_named() -> None:
    with pytest.raises(AgentError, match="/absent"):
        credentials.read_token("/absent")


def test_secrets_are_for_the_owner_alone(tmp_path: Path) -> None:
    loose = tmp_path / "s"
    loose.touch(mode=0o644)

    credentials.write_secret(str(loose), "x")

    assert stat.S_IMODE(loose.stat().st_mode) == 0o600
    assert loose.read_text() == "x"


def test_wrong_cas() -> None:
    with pytest.raises(AgentError, match="could not read certificate file /absent"):
        credentials.read_ca("/absent")
    with pytest.raises(AgentError, match=r"in /x/ca\.pem is not a certificate in PEM form"):
        credentials.tls_context("no PEM", skip_verify=False, source="/x/ca.pem")
