"""Zone: one zone of a multi-zone deployment, as the global control plane lists it; a zone knows itself by one too."""

from kuma.resources import kind as kinds


class Zone(kinds.Spec, frozen=True):
    """A zone; absent `enabled`: true. Nothing of a disabled zone reaches the others."""

    enabled: bool | None = None

    @property
    def is_enabled(self) -> bool:
        """Whether the zone takes part."""
        return self.enabled is not False


KIND = kinds.Kind(
    name="Zone",
    plural="zones",
    scope=kinds.Scope.GLOBAL,
    spec=Zone,
    short="z",
    sync=kinds.Sync.PROVIDED_BY_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    argument="zone",
    singular_display="Zone",
    plural_display="Zones",
    overview="ZoneOverview",
    insight="ZoneInsight",
)
