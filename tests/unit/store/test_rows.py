import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from kuma.base import errors
from kuma.resources import kind
from kuma.resources import resource as res
from kuma.store import database, protocol, rows


class NoteSpec(kind.Spec, frozen=True):
    text: str = ""


NOTE = kind.Kind("Note", "notes", kind.Scope.MESH, NoteSpec, status=NoteSpec)
MOMENT = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
META = res.Meta("m", "n", {"k": "v\u00e9"}, MOMENT, MOMENT + timedelta(microseconds=1), 42)


@pytest.mark.parametrize("owner", [None, res.Key("Mesh", "", "m")])
@pytest.mark.parametrize("status", [None, NoteSpec(), NoteSpec("s")])
def test_a_row_reads_back_to_the_microsecond(owner: res.Key | None, status: NoteSpec | None) -> None:
    resource = res.Resource(NOTE, META, NoteSpec("t"), status)
    row = rows.row_of(protocol.Change(protocol.Op.CREATED, resource, 42, owner), rows.encode_content(resource))
    assert len(row) == len(rows.COLUMNS.split(","))
    assert rows.resource_of(NOTE, row) == (resource, owner)


@pytest.mark.parametrize(
    "broken",
    [
        res.Resource(NOTE, dataclasses.replace(META, name="\ud800"), NoteSpec()),
        res.Resource(NOTE, dataclasses.replace(META, labels={"a": "\ud800"}), NoteSpec()),
        res.Resource(NOTE, META, NoteSpec("\ud800")),
    ],
)
def test_text_without_bytes_is_refused_before_it_reaches_a_transaction(broken: res.Resource[NoteSpec]) -> None:
    with pytest.raises(errors.BadRequest, match="cannot be stored"):
        rows.encode_content(broken)


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [number for number, _ in database.migrations()]
    assert numbers == list(range(1, len(numbers) + 1))
