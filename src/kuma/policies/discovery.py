"""Finds the targetRef policies by looking at the folders of this package: one folder, one policy.

Only `model.py` is imported here, so that programs without Envoy's messages can list kinds. Nothing registers itself.
"""

import importlib
import importlib.util
import pkgutil
from typing import Any

from kuma.resources import kind as declarations

_PACKAGE = "kuma.policies"


def names() -> tuple[str, ...]:
    """The policy folders, sorted."""
    package = importlib.import_module(_PACKAGE)
    return tuple(sorted(each.name for each in pkgutil.iter_modules(package.__path__) if each.ispkg))


def kinds() -> tuple[declarations.Kind[Any], ...]:
    """The kinds that the policies of this package declare, sorted by folder."""
    return tuple(importlib.import_module(f"{_PACKAGE}.{name}.model").KIND for name in names())


def policies() -> tuple[Any, ...]:
    """The policies that shape proxies: those with a `translate.py`. It imports Envoy's messages: for control planes."""
    package = importlib.import_module(_PACKAGE)
    found = []
    for each in sorted(pkgutil.iter_modules(package.__path__), key=lambda module: module.name):
        if each.ispkg and importlib.util.find_spec(f"{_PACKAGE}.{each.name}.translate") is not None:
            found.append(importlib.import_module(f"{_PACKAGE}.{each.name}.translate").POLICY)
    return tuple(found)
