"""The targetRef policies, found by the folders of this package (`policy_engine.plugins`)."""

from typing import Any

from kuma.policy_engine import plugins
from kuma.resources import kind as declarations

_PACKAGE = "kuma.policies"


def names() -> tuple[str, ...]:
    """The policy folders, sorted."""
    return plugins.names(_PACKAGE)


def kinds() -> tuple[declarations.Kind[Any], ...]:
    """The kinds that the policies declare, sorted by folder."""
    return plugins.kinds(_PACKAGE)


def policies() -> tuple[Any, ...]:
    """The policies that shape proxies; for control planes."""
    return plugins.policies(_PACKAGE)


def orders() -> dict[str, int]:
    """The place of each kind that shapes proxies, by its name."""
    return {each.kind.name: each.order for each in policies()}
