"""Selection by labels, as the services, identities and hostname generators share it."""

from collections.abc import Mapping

from kuma.resources import kind as kinds


class LabelSelector(kinds.Spec, frozen=True):
    """Selects what has all these labels; without any, everything."""

    match_labels: dict[str, str] | None = None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether `labels` hold every pair of the selector."""
        return all(labels.get(key) == value for key, value in (self.match_labels or {}).items())
