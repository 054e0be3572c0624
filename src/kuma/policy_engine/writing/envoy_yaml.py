"""Envoy configuration that policies embed as YAML text (ProxyTemplate, MeshProxyPatch): reading and checking it.

Light until it is called: Envoy's messages are imported only where a policy holds such text, so the command line can
list kinds without them.
"""

from collections.abc import Iterator
from typing import Any

from kuma.base import errors, gotext
from kuma.base.errors import Violation
from kuma.resources import documents
from kuma.resources import unknown as fields

CLUSTER = "envoy.config.cluster.v3.Cluster"
LISTENER = "envoy.config.listener.v3.Listener"
NETWORK_FILTER = "envoy.config.listener.v3.Filter"
HTTP_FILTER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter"
VIRTUAL_HOST = "envoy.config.route.v3.VirtualHost"
ANY = ""
"""The text says its own type under `@type`."""


def read(text: str, type_name: str = ANY, *, whole: bool = True) -> Any:
    """The Envoy message that a text spells: YAML or JSON, field names in either spelling of proto JSON.

    `whole`: it is a resource to add, so Envoy's constraints on its fields have to hold; a patch need not keep them.
    ValueError with the reason where it cannot be used.
    """
    from kuma.envoy import written

    document = _document(text)
    if type_name == ANY:
        return written.read_any(document, whole=whole)
    return written.read(type_name, document, whole=whole)


def type_of(text: str) -> str:
    """The full name of the type that a text says under `@type`; empty where it says none."""
    try:
        document = _document(text)
    except ValueError:
        return ""
    return str((document or {}).get("@type", "")).rpartition("/")[2]


def check(path: str, text: str, type_name: str = ANY, *, whole: bool = True) -> Iterator[Violation]:
    """A violation where `read` refuses the text."""
    try:
        read(text, type_name, whole=whole)
    except ValueError as failure:
        yield Violation(path, f"native Envoy resource is not valid: {failure}")


def unknown(path: str, text: str, type_name: str) -> Iterator[str]:
    """A sentence for each of the first fields of a text, which `read` accepts, that Envoy does not know."""
    from kuma.envoy import written

    for each in written.unknown_fields(type_name, _document(text))[: fields.MOST_WARNINGS]:
        yield f"unknown field {gotext.quote(f'{path}.{each}')} was ignored"


def _document(text: str) -> Any:
    try:
        document = documents.parse_yaml(text)
    except errors.BadRequest as failure:
        is_open = text.lstrip()[:1] in ("{", "[")
        raise ValueError("unexpected EOF" if is_open else str(failure)) from None
    if document is not None and not isinstance(document, dict):
        raise ValueError(gotext.unmarshal_error(document, "map[string]json.RawMessage"))
    return document
