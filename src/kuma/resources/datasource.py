"""DataSource: where bytes that an old kind needs are kept (certificates, keys)."""

from kuma.resources import kind as kinds


class DataSource(kinds.Spec, frozen=True):
    """One of: the name of a Secret, a file beside the component that reads it, or the bytes here, base64 or as text.

    What is inline may be a key, so `repr` leaves it out.
    """

    secret: str | None = None
    file: str | None = None
    inline: bytes | None = None
    inline_string: str | None = None

    def __repr__(self) -> str:
        return f"DataSource(secret={self.secret!r}, file={self.file!r})"

    @property
    def is_empty(self) -> bool:
        """Whether it names nothing."""
        return not (self.secret or self.file or self.inline or self.inline_string)
