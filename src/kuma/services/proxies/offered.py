"""Reads the definition of a proxy that an agent brings along.

Agents send JSON; Kuma's contract also allows YAML. Nobody has proved who they are yet at this point, so aliases,
by which a short YAML text unfolds into a huge document, are refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import yaml

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import codec, documents, meta, unknown
from kuma.resources import kind as kinds
from kuma.resources import resource as res

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_offered(text: str, kind_name: str, catalog: catalogs.Catalog) -> res.Resource[Any]:
    """The valid resource of kind `kind_name` in a definition.

    BadRequest where it cannot be read or is of another kind, InvalidResource with every violation.
    """
    document = document_of(text)
    if document.get("type") != kind_name:
        raise errors.BadRequest(f'invalid proxy resource type "{document.get("type", "")}", expected {kind_name}')
    kind = catalog.find(kind_name)
    if kind is None:
        raise errors.BadRequest(f"{kind_name} is not known to this control plane")
    proxy = codec.decode(kind, document)
    violations = (*meta.violations(proxy.meta, kind.scope), *kind.validate(proxy))
    if violations:
        raise errors.InvalidResource(violations)
    return proxy


def unknown_fields(text: str, kind: kinds.Kind[Any]) -> Iterator[str]:
    """What was ignored in a definition that `read_offered` has read."""
    return unknown.warnings(kind, document_of(text))


def document_of(text: str) -> Mapping[str, Any]:
    """The definition as a document; BadRequest where it is no JSON or YAML object."""
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        document = _parsed_yaml(text)
    if not isinstance(document, dict):
        raise errors.BadRequest("the proxy resource is not an object")
    return document


def _parsed_yaml(text: str) -> Any:
    try:
        found = documents.load(text)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_LOADER)):
            raise errors.BadRequest("the proxy resource must not contain YAML aliases")
    except (yaml.YAMLError, RecursionError) as error:
        raise errors.BadRequest(f"the proxy resource is not JSON or YAML: {error}") from error
    return found
