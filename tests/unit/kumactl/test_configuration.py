"""The configuration file: what is written, what is read, and the short way to read it."""

import stat
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kuma.apps.kumactl import configuration, grammar, plain_yaml


def test_first_use_writes_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config"
    assert configuration.load(path) == configuration.default()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert configuration.load(path) == configuration.default()


def test_saving_keeps_everything(tmp_path: Path) -> None:
    path = tmp_path / "config"
    server = configuration.ApiServer(
        "https://cp:5682", "/ca.pem", "/c.pem", "/k.pem", True, [("x-team", "a b")], "tokens", {"token": "123"}
    )
    wanted = configuration.Configuration({"one": server}, [configuration.Context("ctx", "one", "shop")], "ctx")
    configuration.save(path, wanted)
    assert configuration.load(path) == wanted
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_snake_case_is_read() -> None:
    text = "control_planes:\n- name: a\n  coordinates:\n    api_server:\n      url: http://a\ncurrent_context: c\n"
    assert configuration.parse(text, "f").control_planes["a"].url == "http://a"


def test_keys_of_the_authentication_are_kept_as_written() -> None:
    text = (
        "controlPlanes:\n- name: a\n  coordinates:\n    apiServer:\n      url: http://a\n"
        "      authConf:\n        my_key: '1'\n"
    )
    assert configuration.parse(text, "f").control_planes["a"].auth_conf == {"my_key": "1"}


@pytest.mark.parametrize("text", ["a: [b", "controlPlanes: 3", "- 1", "controlPlanes:\n- nothing: x"])
def test_a_broken_file_is_named(text: str) -> None:
    with pytest.raises(grammar.CommandError, match="failed to parse configuration file the-file"):
        configuration.parse(text, "the-file")


def test_no_current_context_and_a_missing_one_are_told_apart() -> None:
    with pytest.raises(grammar.CommandError, match="active Control Plane is not set"):
        configuration.Configuration().active()
    with pytest.raises(
        grammar.CommandError, match=r'there is no context "other" in the configuration \(known: local\)'
    ):
        configuration.default().active("other")
    broken = configuration.default()
    broken.control_planes.clear()
    with pytest.raises(grammar.CommandError, match="configuration is broken"):
        broken.active("local")


def test_the_short_way_reads_what_is_written() -> None:
    assert plain_yaml.read(configuration.DEFAULT_TEXT) == yaml.safe_load(configuration.DEFAULT_TEXT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 'b'",
        "a: 1",
        "a: yes",
        "a: b # c",
        "a: {}",
        "a:",
        "a: b\na: c",
        "a: b\n   c: d",
        "a_b: c",
        "a: b: c",
        "? a",
        "a: &x b",
    ],
)
def test_the_short_way_gives_up_on_anything_else(text: str) -> None:
    assert plain_yaml.read(text) is None


_words = st.from_regex(r"[A-Za-z/][A-Za-z0-9_./:@-]{0,12}", fullmatch=True)
_trees = st.recursive(
    st.one_of(_words, st.booleans()),
    lambda inner: st.one_of(
        st.dictionaries(st.from_regex(r"[a-z][A-Za-z]{0,8}", fullmatch=True), inner, min_size=1, max_size=4),
        st.lists(
            st.dictionaries(st.from_regex(r"[a-z][A-Za-z]{0,8}", fullmatch=True), inner, min_size=1, max_size=3),
            min_size=1,
        ),
    ),
    max_leaves=12,
)


@given(tree=_trees)
def test_the_short_way_never_disagrees_with_the_parser(tree: object) -> None:
    text = yaml.safe_dump(tree)
    found = plain_yaml.read(text)
    assert found is None or found == yaml.safe_load(text)
