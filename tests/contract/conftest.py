"""Databases, and stores on them, for the tests of the PostgreSQL store."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.kit import notes
from tests.kit import postgres as servers


@pytest.fixture
def database() -> servers.Database:
    """An empty database with the schema, on a server that stays up."""
    return servers.shared().new_database()


@pytest.fixture
async def pair(database: servers.Database) -> AsyncIterator[notes.Pair]:
    """Two stores on one database."""
    stores = database.store(notes.CATALOG), database.store(notes.CATALOG)
    yield stores
    for each in stores:
        await each.close()


@pytest.fixture
def server() -> Iterator[servers.Server]:
    """A server that the test may stop."""
    own = servers.Server()
    yield own
    own.close()
