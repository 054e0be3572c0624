"""Finds policies by looking at the folders of a package: one folder, one policy. Nothing registers itself."""

import importlib
import importlib.util
import pkgutil
from typing import Any

from kuma.resources import kind as declarations


def names(package: str) -> tuple[str, ...]:
    """The policy folders of a package, sorted."""
    path = importlib.import_module(package).__path__
    return tuple(sorted(each.name for each in pkgutil.iter_modules(path) if each.ispkg))


def kinds(package: str) -> tuple[declarations.Kind[Any], ...]:
    """The kinds that they declare. Only `model.py` is imported: programs without Envoy's messages ask, too."""
    return tuple(importlib.import_module(f"{package}.{name}.model").KIND for name in names(package))


def policies(package: str) -> tuple[Any, ...]:
    """Those that shape proxies: they have a `translate.py`. It imports Envoy's messages: for control planes."""
    modules = (f"{package}.{name}.translate" for name in names(package))
    return tuple(importlib.import_module(each).POLICY for each in modules if importlib.util.find_spec(each) is not None)
