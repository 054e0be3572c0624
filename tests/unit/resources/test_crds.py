"""The custom resource definitions: fresh, structural, and of the shape that Kuma's have."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kuma.apps.kumactl import kinds
from kuma.resources import crds
from tests.kit import cli
from tests.kit import crds as committed

Document = Mapping[str, Any]


@pytest.fixture(scope="module")
def definitions() -> dict[str, Document]:
    return {each["spec"]["names"]["kind"]: each for each in crds.definitions(kinds.catalog())}


def schema_of(definition: Document) -> Document:
    found: Document = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found


def nodes(schema: Document, path: str = "") -> Iterator[tuple[str, Document]]:
    """Every schema within, by its path."""
    yield path, schema
    for name, each in schema.get("properties", {}).items():
        yield from nodes(each, f"{path}.{name}")
    for key, mark in (("items", "[]"), ("additionalProperties", "{}")):
        if key in schema:
            yield from nodes(schema[key], path + mark)


def test_the_committed_files_are_fresh() -> None:
    found = {path.name: path.read_text() for path in committed.COMMITTED.glob("*.yaml")}
    assert found == committed.files(), "run `make crds`"


def test_install_prints_every_definition_once(definitions: dict[str, Document]) -> None:
    done = cli.kumactl(["--no-config", "install", "crds"])
    assert (done.code, done.err) == (0, "")
    assert [each["spec"]["names"]["kind"] for each in yaml.safe_load_all(done.out)] == list(definitions)


def test_schemas_are_structural(definitions: dict[str, Document]) -> None:
    known = crds.structural_words()
    for name, definition in definitions.items():
        for path, schema in nodes(schema_of(definition)):
            free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
            assert free or isinstance(schema.get("type"), str), f"{name}{path}"
            assert schema.keys() <= known, f"{name}{path}"
            assert set(schema.get("required", [])) <= schema.get("properties", {}).keys(), f"{name}{path}"
            assert not ("properties" in schema and "additionalProperties" in schema), f"{name}{path}"


def test_secrets_and_configs_are_kubernetes_own(definitions: dict[str, Document]) -> None:
    assert not {"Secret", "GlobalSecret", "Config"} & definitions.keys()
    assert {"ContainerPatch", "MeshGatewayConfig", "MeshGatewayInstance"} <= definitions.keys()


def test_old_kinds_keep_what_they_hold_and_name_their_mesh(definitions: dict[str, Document]) -> None:
    shown = schema_of(definitions["TrafficRoute"])["properties"]
    assert shown["spec"] == {"x-kubernetes-preserve-unknown-fields": True}
    assert shown["mesh"]["type"] == "string"
    assert "spec" not in schema_of(definitions["DataplaneInsight"])["properties"]


def test_definitions_have_names_columns_and_fields_of_kuma(definitions: dict[str, Document]) -> None:
    """Descriptions, formats and bounds may differ; the fields and what a cluster calls the kinds may not."""
    corpus = Path(os.environ.get("KUMA_CORPUS", "../shared/corpus"))
    rendered = corpus / "kumactl_install/files/install-control-plane.with-helm-set.yaml"
    if not rendered.is_file():
        pytest.skip("the conformance corpus is not here: set KUMA_CORPUS")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = [each for each in yaml.load_all(rendered.read_text(), loader) if each]
    wanted = {each["spec"]["names"]["kind"]: each for each in objects if each["kind"] == "CustomResourceDefinition"}
    assert wanted.keys() == definitions.keys()
    for name, theirs in wanted.items():
        ours = definitions[name]
        assert ours["metadata"]["name"] == theirs["metadata"]["name"]
        assert {key: ours["spec"][key] for key in ("group", "names", "scope")} == {
            key: theirs["spec"][key] for key in ("group", "names", "scope")
        }
        version, their_version = ours["spec"]["versions"][0], theirs["spec"]["versions"][0]
        assert version.get("additionalPrinterColumns") == their_version.get("additionalPrinterColumns"), name
        assert (version.get("subresources") or {}) == (their_version.get("subresources") or {}), name
        assert _fields(ours) == _fields(theirs), name


def _fields(definition: Document) -> dict[str, tuple[Any, ...]]:
    """Type, accepted values and required fields of each field."""
    return {
        path: (schema.get("type"), tuple(schema.get("enum", ())), tuple(sorted(schema.get("required", ()))))
        for path, schema in nodes(schema_of(definition))
        if not _is_kept_whole(schema)
    }


def _is_kept_whole(schema: Document) -> bool:
    return bool(schema.get("x-kubernetes-preserve-unknown-fields"))
