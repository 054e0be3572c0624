"""Merging the confs of several policies into one (RFC 7396, with Kuma's `append` lists)."""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, TypeVar

import msgspec

Conf = TypeVar("Conf", bound=msgspec.Struct)


def merge_confs(confs: Sequence[Conf]) -> Conf:
    """One conf out of at least one, in order of precedence: later fields win, `append...` lists are joined."""
    if len(confs) == 1:
        return confs[0]
    merged = reduce(_patch, [msgspec.to_builtins(conf) for conf in confs])
    return msgspec.convert(merged, type(confs[0]))


def _patch(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    out = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if key.startswith("append") and isinstance(value, list | tuple) and key in out:
            out[key] = [*out[key], *value]
        else:
            out[key] = _patch(out.get(key), value)
    return out
