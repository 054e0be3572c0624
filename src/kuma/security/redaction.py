"""Takes secrets out of an Envoy config dump before anybody sees it.

Envoy hides private keys itself, but not the proxy's token, which its bootstrap sends along with every gRPC call to
the control plane. Certificates stay: they are public.
"""

from typing import Any

import msgspec

from kuma.base import errors

REDACTED = "[redacted]"
REDACTED_BYTES = "W3JlZGFjdGVkXQ=="
"""The same in base64, as Envoy writes it into fields of bytes."""

_CREDENTIAL_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
_METADATA = frozenset({"initial_metadata", "initialMetadata"})
_SECRET_SOURCES = frozenset(
    {"private_key", "privateKey", "password", "inline_secret", "token_secret", "tokenSecret", "hmac_secret"}
)
_SECRET_TEXTS = frozenset({"access_token", "accessToken", "json_token", "jsonToken"})


def redact_config_dump(dump: bytes) -> bytes:
    """The same JSON with tokens and private keys replaced; BadRequest where it is not JSON."""
    try:
        tree = msgspec.json.decode(dump)
    except msgspec.DecodeError:
        raise errors.BadRequest("Envoy's config dump is not JSON") from None
    _redact(tree)
    return msgspec.json.encode(tree)


def _redact(node: Any) -> None:
    if isinstance(node, list):
        for each in node:
            _redact(each)
    elif isinstance(node, dict):
        for name, value in node.items():
            if name in _METADATA and isinstance(value, list):
                _redact_metadata(value)
            elif name in _SECRET_SOURCES and isinstance(value, dict):
                _redact_source(value)
            elif name in _SECRET_TEXTS and isinstance(value, str):
                node[name] = REDACTED
            else:
                _redact(value)


def _redact_metadata(entries: list[Any]) -> None:
    for entry in entries:
        if isinstance(entry, dict) and str(entry.get("key", "")).lower() in _CREDENTIAL_HEADERS:
            entry["value"] = REDACTED


def _redact_source(source: dict[str, Any]) -> None:
    """An Envoy DataSource keeps a file name, and loses what it holds inline."""
    for name in ("inline_bytes", "inlineBytes"):
        if name in source:
            source[name] = REDACTED_BYTES
    for name in ("inline_string", "inlineString"):
        if name in source:
            source[name] = REDACTED
