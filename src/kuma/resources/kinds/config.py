"""Config: text that the control plane keeps for itself (cluster id, address tables). Never on the REST API."""

from kuma.resources import kind as kinds


class Config(kinds.Spec, frozen=True):
    """One text."""

    config: str = ""


KIND = kinds.Kind(
    name="Config",
    plural="",
    scope=kinds.Scope.GLOBAL,
    spec=Config,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    singular_display="Config",
    plural_display="Configs",
    exposed=False,
)
