"""The hash of a route rule's matches: the name of its Envoy route, and how other policies find the rule.

Proxies and users of the inspection API see it, so it is Kuma's to the bit: SHA-256 over the JSON that Go writes.
"""

import base64
import hashlib
from collections.abc import Sequence

import msgspec

from kuma.resources import printer

_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
"""What Go's encoder escapes beyond the JSON specification, to be safe inside HTML."""


def matches_hash(matches: Sequence[msgspec.Struct]) -> str:
    """The standard base64 of the digest. Fields count in the order in which their struct declares them."""
    text = printer.builtins_to_json(list(matches)).decode()
    for plain, escaped in _ESCAPED.items():
        text = text.replace(plain, escaped)
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
