"""Where a secret text is kept, as new kinds say it: a file, a Secret, a variable of the environment, or right here."""

from typing import Annotated

from kuma.resources import kind as kinds
from kuma.resources import values

TYPES = ("File", "Secret", "EnvVar", "InsecureInline")


class File(kinds.Spec, frozen=True):
    """A file of the control plane: an absolute path without `..`."""

    path: Annotated[str, values.Required] = ""


class SecretRef(kinds.Spec, frozen=True):
    """A Secret of the same mesh."""

    kind: Annotated[str, values.Required, values.one_of("Secret")] = ""
    name: Annotated[str, values.Required] = ""


class EnvVar(kinds.Spec, frozen=True):
    """A variable of the control plane's environment."""

    name: Annotated[str, values.Required] = ""


class InsecureInline(kinds.Spec, frozen=True):
    """The text itself; never shown by `repr`."""

    value: Annotated[str, values.Required] = ""

    def __repr__(self) -> str:
        return "InsecureInline(value=***)"


class SecureDataSource(kinds.Spec, frozen=True):
    """`type` says which of the four is used."""

    type: Annotated[str, values.Required, values.one_of(*TYPES)] = ""
    file: File | None = None
    secret_ref: SecretRef | None = None
    env_var: EnvVar | None = None
    insecure_inline: InsecureInline | None = None
