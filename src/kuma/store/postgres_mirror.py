"""What a control plane knows of the database: an image for reading, and the state of the row behind each resource.

Versions in here count what this process has seen, as in the other stores; the version of a row is known beside it and
used for writing alone. Nothing waits: statements and their answers come from the store.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from kuma.base import errors
from kuma.resources import catalog as catalogs
from kuma.resources import resource as res
from kuma.store import image, protocol
from kuma.store import postgres_rows as rows

_LOG = structlog.get_logger("store")


class Mirror:
    """The image and the stamps of its rows. Rows of kinds that the catalog lacks are passed over."""

    def __init__(self, catalog: catalogs.Catalog) -> None:
        self._catalog = catalog
        self._stamps: dict[res.Key, rows.Stamp] = {}
        self.image = image.Image(lambda: datetime.now(UTC))

    def load(self, found: Iterable[Sequence[Any]]) -> None:
        """Takes all rows as they are, as one step; Unavailable, naming it, where one cannot be read."""
        for columns in found:
            row = rows.row_of(columns)
            kind = self._catalog.find(row.key.kind)
            if kind is None:
                continue
            try:
                resource = rows.resource_of(kind, row)
            except (ValueError, errors.BadRequest) as problem:
                where = image.describe(row.key)
                raise errors.Unavailable(
                    f"the database holds a resource that cannot be read: {where}: {problem}"
                ) from None
            self.image.load(resource, row.owner)
            self._stamps[row.key] = row.stamp

    def start(self) -> None:
        """What was loaded counts as one change, whatever it took; an empty store starts at revision 0."""
        self.image.revision = max(self.image.revision, 1 if self._stamps else 0)

    @property
    def size(self) -> int:
        """How many rows are known."""
        return len(self._stamps)

    def stamp(self, key: res.Key) -> rows.Stamp | None:
        """The state of the row when it was last read or written."""
        return self._stamps.get(key)

    def differing(self, stamps: Iterable[Sequence[Any]]) -> list[res.Key]:
        """The keys whose rows are other than known, or gone, given STAMPS of all rows."""
        suspects, missing = [], set(self._stamps)
        for kind, mesh, name, *stamp in stamps:
            key = res.Key(kind, mesh, name)
            known = self._stamps.get(key)
            if known is not None:
                missing.discard(key)
            if known != tuple(stamp) and self._catalog.find(kind) is not None:
                suspects.append(key)
        return suspects + list(missing)

    def take_truth(self, keys: Iterable[res.Key], found: Iterable[Sequence[Any]]) -> Iterator[protocol.Change]:
        """The changes that make the image say what was just read of `keys`, in their order; absent rows are removals."""
        by_key = {row.key: row for row in map(rows.row_of, found)}
        for key in keys:
            row = by_key.get(key)
            if row is None:
                yield from self._drop(key)
            elif self._stamps.get(key) != row.stamp:
                yield from self._take_row(row)

    def _take_row(self, row: rows.Row) -> Iterator[protocol.Change]:
        kind = self._catalog.find(row.key.kind)
        if kind is None:
            return
        self._stamps[row.key] = row.stamp
        try:
            resource = rows.resource_of(kind, row)
        except (ValueError, errors.BadRequest) as problem:
            # Kept as it was: half a mesh without its rules is worse than one that is a change behind.
            _LOG.error(
                "a resource in the database cannot be read", resource=image.describe(row.key), error=str(problem)
            )
            return
        yield self.image.take(resource, row.owner)

    def wrote(self, resource: res.Resource[Any], written: rows.Written) -> protocol.Change:
        """Takes what this process has stored."""
        self._stamps[resource.key] = written.stamp
        meta = res.Meta(
            mesh=resource.meta.mesh,
            name=resource.meta.name,
            labels=resource.meta.labels,
            creation_time=written.stamp.created.replace(tzinfo=UTC),
            modification_time=written.stamp.modified.replace(tzinfo=UTC),
        )
        return self.image.take(res.Resource(resource.kind, meta, resource.spec, resource.status), written.owner)

    def deleted(self, key: res.Key) -> Iterator[protocol.Change]:
        """Takes what this process has deleted: the resource and, as the database does it, all it owned."""
        return self._drop(key)

    def _drop(self, key: res.Key) -> Iterator[protocol.Change]:
        self._stamps.pop(key, None)
        if self.image.find(key) is None:
            return
        for change in self.image.delete(key):
            self._stamps.pop(change.resource.key, None)
            yield change
