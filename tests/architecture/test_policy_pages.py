"""The pages about policies tell the truth: all kinds, which of them are in force, and examples that are valid."""

import pathlib
import re

import pytest
import yaml

from kuma.apps.kumactl import kinds
from kuma.resources import codec, unknown

ROOT = pathlib.Path(__file__).parents[2]
PAGES = sorted(ROOT.glob("src/kuma/*policies/*/docs.md"))
INDEX = (ROOT / "docs" / "policies.md").read_text()
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "permissions.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_the_index_links_a_policy_and_says_whether_it_is_in_force(page: pathlib.Path) -> None:
    state = "yes" if (page.parent / "translate.py").exists() else "not yet"
    title = page.read_text().splitlines()[0].removeprefix("# ")
    assert f"| [{title}](../{page.relative_to(ROOT)}) | {state} | " in INDEX


def test_the_index_links_nothing_else() -> None:
    assert INDEX.count("docs.md) | ") == len(PAGES)


@pytest.mark.parametrize("text", EXAMPLES)
def test_the_examples_of_permissions_are_valid(text: str) -> None:
    document = yaml.safe_load(text)
    kind = kinds.catalog().find(document["type"])
    assert kind is not None
    assert list(kind.validate(codec.decode(kind, document))) == []
    assert list(unknown.warnings(kind, document)) == []
