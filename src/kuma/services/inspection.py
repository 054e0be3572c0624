"""Snapshots as people read them: Envoy resources as JSON, for `_config` and for whoever asks what a proxy has."""

from collections.abc import Callable
from typing import Any

from google.protobuf import json_format, symbol_database

from kuma.discovery import resources as xds
from kuma.resources import resource as res
from kuma.services import publisher

_SECRET_FIELDS = ("inlineBytes",)


class Inspector:
    """Answers from the snapshots that streams are fed with. `feed_of` finds the feed of a connected proxy."""

    def __init__(self, feed_of: Callable[[res.Key], publisher.Feed | None]) -> None:
        self._feed_of = feed_of

    def config_of(self, mesh: str, name: str, shadow: bool = False) -> dict[str, Any] | None:
        """`{type URL: {name: resource}}` of a connected proxy, keys and certificates left out; None if not connected.

        `shadow` asks for shadow policies as well; none of the kinds of this build is evaluated differently for it.
        """
        feed = self._feed_of(res.Key("Dataplane", mesh, name))
        if feed is None or feed.snapshot is None:
            return None
        out: dict[str, Any] = {}
        for type_url, resources in sorted(feed.snapshot.sets.items()):
            if type_url == xds.SECRET:
                continue
            out[type_url] = {each.name: _readable(each) for each in sorted(resources, key=lambda each: each.name)}
        return {kind: found for kind, found in out.items() if found}


def _readable(rendered: xds.Rendered) -> Any:
    name = rendered.type_url.removeprefix(xds.TYPE_PREFIX)
    message = symbol_database.Default().GetSymbol(name)()
    message.ParseFromString(rendered.value)
    return _without_keys(json_format.MessageToDict(message))


def _without_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "<redacted>" if key in _SECRET_FIELDS and isinstance(each, str) else _without_keys(each)
            for key, each in value.items()
            if key != "tlsCertificates"
        }
    if isinstance(value, list):
        return [_without_keys(each) for each in value]
    return value
