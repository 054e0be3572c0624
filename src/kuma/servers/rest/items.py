"""Resources as the bytes that lists and single answers are made of, kept for as long as they do not change.

An item is rendered once a version, in the indentation of a list; a page of a list is then the joining of bytes. Single
answers take two spaces off each line: no text of a JSON string holds a line break, so that is exact.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from kuma.resources import codec
from kuma.resources import resource as res
from kuma.servers.rest.messages import replies

AnyResource = res.Resource[Any]

_LIMIT = 16 * 1024 * 1024
"""Bytes of rendered items that are kept."""


class Items:
    """Renders items, remembering the most recently used."""

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._size = 0
        self._kept: OrderedDict[tuple[str, res.Key], tuple[tuple[int, ...], bytes]] = OrderedDict()

    def resource(self, resource: AnyResource) -> bytes:
        """The resource as one item of a list. Secrets are not kept."""
        if resource.kind.admin_only:
            return _listed(replies.indented(codec.encode_json(resource)))
        return self._remembered(
            "", resource.key, (resource.meta.version,), lambda: _listed(replies.indented(codec.encode_json(resource)))
        )

    def overview(self, resource: AnyResource, insight: AnyResource | None) -> bytes:
        """The resource with what the control plane knows of it, as one item of a list."""
        versions = (resource.meta.version, insight.meta.version if insight is not None else 0)
        return self._remembered(
            "overview",
            resource.key,
            versions,
            lambda: _listed(replies.json_bytes(overview_document(resource, insight))),
        )

    def _remembered(self, form: str, key: res.Key, versions: tuple[int, ...], render: Callable[[], bytes]) -> bytes:
        kept = self._kept.get((form, key))
        # Version 0 was never stored, so nothing says whether it is the same value.
        if kept is not None and kept[0] == versions and versions[0]:
            self._kept.move_to_end((form, key))
            return kept[1]
        item = render()
        self._size += len(item) - (len(kept[1]) if kept is not None else 0)
        self._kept[form, key] = (versions, item)
        self._kept.move_to_end((form, key))
        while self._size > self._limit and len(self._kept) > 1:
            _, (_, dropped) = self._kept.popitem(last=False)
            self._size -= len(dropped)
        return item


def overview_document(resource: AnyResource, insight: AnyResource | None, *, alone: bool = False) -> dict[str, Any]:
    """Metadata, spec and insight. Without an insight a list leaves the key out; `alone`, it is there and empty."""
    kind = resource.kind
    document = codec.encode_meta(resource, kind.overview)
    document[_field(kind.name)] = codec.encode_spec(resource.spec)
    if insight is not None:
        document[_field(kind.insight)] = codec.encode_spec(insight.spec)
    elif alone:
        document[_field(kind.insight)] = {}
    return document


def _field(kind_name: str) -> str:
    return kind_name[:1].lower() + kind_name[1:]


def _listed(item: bytes) -> bytes:
    return item.replace(b"\n", b"\n  ")


def single_reply(item: bytes) -> replies.Reply:
    """An item of a list as an answer of its own."""
    return replies.Reply(200, replies.JSON, (item.replace(b"\n  ", b"\n"), b"\n"))


def list_reply(total: int, items: Iterable[bytes], next_url: str | None) -> replies.Reply:
    """One page of a list, from rendered items."""
    parts = [b'{\n "total": %d,\n "items": [' % total]
    separator = b"\n  "
    for item in items:
        parts += (separator, item)
        separator = b",\n  "
    closing = b"\n ]" if len(parts) > 1 else b"]"
    parts += (closing, b',\n "next": ', replies.json_bytes(next_url), b"\n}\n")
    return replies.Reply(200, replies.JSON, parts)
