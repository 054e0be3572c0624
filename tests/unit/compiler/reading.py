"""Snapshots as JSON values."""

from typing import Any

from google.protobuf import json_format, symbol_database

from kuma.discovery import resources as xds


def read(snapshot: xds.Snapshot, type_url: str) -> dict[str, Any]:
    """The resources of a type by name."""
    message = symbol_database.Default().GetSymbol(type_url.removeprefix(xds.TYPE_PREFIX))
    return {each.name: json_format.MessageToDict(message.FromString(each.value)) for each in snapshot.of(type_url)}
