"""A stub of the REST API."""

from collections.abc import Iterator

import pytest

from kuma.apps.kumactl import kinds
from tests.kit import rest_stub


@pytest.fixture
def stub() -> Iterator[rest_stub.Stub]:
    with rest_stub.serve(rest_stub.Stub(kinds.catalog())) as running:
        yield running
