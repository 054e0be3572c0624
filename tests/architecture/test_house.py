"""The house rules that no linter knows: where things stand, how large they grow, what every policy brings along."""

import ast
import importlib
import re
from pathlib import Path

import msgspec
import pytest

from kuma.legacy_policies import discovery as legacy_policies
from kuma.policies import discovery as policies
from kuma.resources import codec, documents

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "kuma"
MODULES = sorted(SOURCE.rglob("*.py"))
FOLDERS = [
    *(SOURCE / "policies" / name for name in policies.names()),
    *(SOURCE / "legacy_policies" / name for name in legacy_policies.names()),
]
LONGEST_FILE = 450
LONGEST_FUNCTION = 70
PURE = (
    "base",
    "resources",
    "envoy",
    "discovery",
    "mesh",
    "plan",
    "policy_engine",
    "policies",
    "legacy_policies",
    "compiler",
)


def relative(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_why_it_exists_and_stays_small(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "no docstring"
    assert text.count("\n") <= LONGEST_FILE
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= LONGEST_FUNCTION, node.name


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_module_is_a_drawer(path: Path) -> None:
    assert not re.search(r"utils?|helpers?|common|manager|misc", path.stem)


@pytest.mark.parametrize("path", [each for each in MODULES if each.relative_to(SOURCE).parts[0] in PURE], ids=relative)
def test_pure_floors_never_wait(path: Path) -> None:
    tree = ast.parse(path.read_text())
    waiting = [each for each in ast.walk(tree) if isinstance(each, ast.Await | ast.AsyncFunctionDef | ast.AsyncFor)]
    assert not waiting


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.name)
def test_a_policy_brings_everything_along(folder: Path) -> None:
    for name in ("__init__.py", "model.py", "validate.py", "docs.md"):
        assert (folder / name).is_file(), name
    is_in_force = (folder / "translate.py").is_file()
    assert is_in_force != ("not in force yet" in (folder / "docs.md").read_text()), "docs.md must say what holds"
    examples = sorted((folder / "examples").glob("*.yaml"))
    assert examples, "no example"
    package = ".".join(folder.relative_to(ROOT / "src").parts)
    kind = importlib.import_module(f"{package}.model").KIND
    for example in examples:
        for document in documents.parse_yaml_documents(example.read_text()):
            assert not list(kind.validate(codec.decode(kind, document))), example.name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda each: each.name)
def test_a_policy_documents_every_field(folder: Path) -> None:
    package = ".".join(folder.relative_to(ROOT / "src").parts)
    spec = importlib.import_module(f"{package}.model").KIND.spec
    text = (folder / "docs.md").read_text()
    missing = [field.encode_name for field in msgspec.structs.fields(spec) if field.encode_name not in text]
    assert not missing


def test_every_kind_has_a_page() -> None:
    files = (SOURCE / "resources" / "kinds").glob("*.py")
    kinds = {each.stem for each in files if "\nKIND = " in each.read_text()}
    assert kinds
    pages = {each.stem for each in (ROOT / "docs" / "kinds").glob("*.md")}
    assert kinds <= pages
