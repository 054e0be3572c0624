"""Command words of kinds, and flags that hold lists and maps."""

import pytest

from kuma.apps.kumactl import flags, kinds


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("mesh", "meshes"),
        ("retry", "retries"),
        ("dataplane", "dataplanes"),
        ("meshtls", "meshtlses"),
        ("meshproxypatch", "meshproxypatches"),
        ("meshidentity", "meshidentities"),
        ("meshloadbalancingstrategy", "meshloadbalancingstrategies"),
        ("meshgateway", "meshgateways"),
        ("zone-ingress", "zone-ingresses"),
    ],
)
def test_plural_words(one: str, many: str) -> None:
    assert kinds.list_word(one) == many


def test_every_kind_with_a_word_is_found_by_it() -> None:
    for kind in kinds.offered():
        assert kinds.find(kind.argument) is kind
        if kind.argument_alias:
            assert kinds.find(kind.argument_alias) is kind


def test_a_kind_in_a_module_of_its_name_is_found_without_the_catalog() -> None:
    kinds.catalog.cache_clear()
    for word in ("meshes", "dataplanes", "meshtrafficpermissions", "traffic-permissions", "secrets"):
        assert kinds.find_listed(word) is not None, word
    assert kinds.catalog.cache_info().currsize == 0


@pytest.mark.parametrize("word", ["", "..", "os", "mesh.os", "discovery", "dataplanesx", "s"])
def test_other_words_are_no_kinds(word: str) -> None:
    assert kinds.find(word) is None
    assert kinds.find_listed(word) is None


@pytest.mark.parametrize(
    ("given", "pairs"),
    [
        (["k=v1,v2"], {"k": "v1,v2"}),
        (["a=1,b=2"], {"a": "1", "b": "2"}),
        (["a=1", "b=2"], {"a": "1", "b": "2"}),
        (["a="], {"a": ""}),
    ],
)
def test_maps(given: list[str], pairs: dict[str, str]) -> None:
    assert flags.split_pairs(given) == pairs
