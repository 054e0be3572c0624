"""Secret and GlobalSecret: bytes that only admins may see, in a mesh or for the whole control plane."""

from kuma.resources import kind as kinds


class Secret(kinds.Spec, frozen=True):
    """The bytes; base64 on the wire, never shown by `repr`."""

    data: bytes = b""

    def __repr__(self) -> str:
        return "Secret(data=***)"


KIND = kinds.Kind(
    name="Secret",
    plural="secrets",
    scope=kinds.Scope.MESH,
    spec=Secret,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    argument="secret",
    singular_display="Secret",
    plural_display="Secrets",
    admin_only=True,
)

GLOBAL_KIND = kinds.Kind(
    name="GlobalSecret",
    plural="globalsecrets",
    alternative_plural="global-secrets",
    scope=kinds.Scope.GLOBAL,
    spec=Secret,
    sync=kinds.Sync.GLOBAL_TO_ZONE | kinds.Sync.PROVIDED_BY_GLOBAL | kinds.Sync.PROVIDED_BY_ZONE,
    argument="globalsecret",
    argument_alias="global-secret",
    singular_display="Global Secret",
    plural_display="Global Secrets",
    admin_only=True,
)
