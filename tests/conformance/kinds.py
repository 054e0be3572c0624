"""Every kind the project declares, for families that look one up by its name."""

import functools

from kuma.legacy_policies import discovery as legacy
from kuma.policies import discovery as policies
from kuma.resources import builtin, catalog


@functools.cache
def known() -> catalog.Catalog:
    """Core kinds and all policies."""
    return catalog.Catalog(builtin.CORE_KINDS + policies.kinds() + legacy.kinds())


@functools.cache
def policy_names() -> frozenset[str]:
    """The names of all kinds of policies."""
    return frozenset(each.name for each in policies.kinds() + legacy.kinds())
