"""Which kinds this build knows, and which of them the configuration leaves in."""

from kuma.apps.control_plane.settings import tree as configuration
from kuma.legacy_policies import discovery as legacy_policies
from kuma.policies import discovery as policies
from kuma.resources import builtin, catalog
from kuma.resources import kind as declarations


def known() -> catalog.Catalog:
    """Every kind of this build."""
    return catalog.Catalog([*builtin.CORE_KINDS, *policies.kinds(), *legacy_policies.kinds()])


def enabled(settings: configuration.Settings) -> catalog.Catalog:
    """The kinds that the configuration leaves in. Only new ones can be left out, each by its plural."""
    wanted = {*settings.core_resources.enabled, *settings.policies.plugin_policies_enabled}
    return catalog.Catalog(
        each for each in known() if each.envelope is not declarations.Envelope.SPEC or each.plural in wanted
    )
