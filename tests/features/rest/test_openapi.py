"""The OpenAPI document: valid, committed as it is served, true to what is answered; nothing made from it breaks us."""

import asyncio
import json
from typing import Any

import openapi_schema_validator
import openapi_spec_validator
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core import NOT_SET

from tests.kit import api as kit
from tests.kit import examples, openapi


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(asyncio.run(openapi.served()))


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    openapi_spec_validator.validate(document)


def test_the_committed_document_is_the_one_that_is_served() -> None:
    assert openapi.COMMITTED.read_bytes() == asyncio.run(openapi.served()), "run `make openapi`"


def test_every_route_is_described_under_a_name_of_its_own(document: dict[str, Any]) -> None:
    described = [
        operation["operationId"]
        for path in document["paths"].values()
        for key, operation in path.items()
        if key != "parameters"
    ]
    assert len(set(described)) == len(described) == len(list(kit.build().app.routes))


def validator(document: dict[str, Any], schema: str) -> openapi_schema_validator.OAS31Validator:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    return openapi_schema_validator.OAS31Validator(whole)


@pytest.mark.parametrize("kind", sorted(examples.by_kind()))
async def test_examples_fit_their_schemas_as_they_are_written_and_as_they_are_read(
    document: dict[str, Any], kind: str
) -> None:
    api = kit.build(plain=True)
    await api.load({"type": "Mesh", "name": "default"})
    for example in examples.by_kind()[kind]:
        mesh = f"/meshes/{example['mesh']}" if "mesh" in example else ""
        if mesh:
            await api.load({"type": "Mesh", "name": example["mesh"]})
        declared = api.catalog.find(kind)
        assert declared is not None
        path = f"{mesh}/{declared.plural}/{example['name']}"
        await api.put(path, example)
        for each in (example, await api.get(path)):
            assert [str(error.message) for error in validator(document, kind).iter_errors(each)] == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
def test_no_request_made_from_the_document_is_answered_with_5xx(document: dict[str, Any], method: str) -> None:
    operations = [
        found.ok()
        for found in schemathesis.openapi.from_dict(document).get_all_operations()
        if found.ok().method.upper() == method
    ]
    api = asyncio.run(_mesh())
    answered = 0
    for operation in operations:

        @settings(
            max_examples=3, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def send(case: Any) -> None:
            nonlocal answered
            if "mesh" in case.path_parameters:
                case.path_parameters["mesh"] = "0"
            if isinstance(case.body, dict):
                case.body |= {"mesh": "0", "name": case.path_parameters.get("name", "")}
            query = "&".join(f"{key}={value}" for key, value in (case.query or {}).items())
            body = None if case.body is NOT_SET else json.dumps(case.body).encode()
            answer = asyncio.run(api.call(method, f"{case.formatted_path}?{query}", body))
            assert answer.status < 500, (case.formatted_path, query, body, answer.text)
            answered += 1

        send()
    assert answered >= len(operations)


async def _mesh() -> kit.Api:
    """A control plane with a mesh in it; names that the generator makes up may hit it."""
    api = kit.build()
    await api.load({"type": "Mesh", "name": "0"})
    return api
