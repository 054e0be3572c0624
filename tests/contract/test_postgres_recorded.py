"""A database that a Kuma control plane has filled: ours serves it, accepts its tokens, uses its CAs, and keeps its form.

The dump is not part of this project: `KUMA_RECORDINGS` names the folder that holds `postgres/kuma.sql`.
"""

import dataclasses
import json
import os
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from kuma.apps.control_plane import kinds
from kuma.base import errors
from kuma.resources import codec
from kuma.resources import resource as res
from kuma.services.defaults import starting as defaults
from kuma.services.rules import role
from kuma.services.trust import identities, signing_keys, tokens
from kuma.store import postgres
from tests.kit import postgres as servers

ROOT = Path(__file__).parents[2]
CATALOG = kinds.known()
MICROSECONDS = re.compile(r"(\.[0-9]{6})[0-9]{3}Z")
"""Kuma keeps times to the nanosecond, ours to the microsecond, as the columns of the database do."""


@pytest.fixture(scope="module")
def folder() -> Path:
    found = Path(os.environ.get("KUMA_RECORDINGS") or ROOT / "../shared/recordings").resolve() / "postgres"
    if not (found / "kuma.sql").exists():
        pytest.skip(f"no recorded database at {found}: set KUMA_RECORDINGS to the folder above it")
    return found


@pytest.fixture
def database(folder: Path) -> servers.Database:
    made = servers.shared().new_database(migrated=False)
    with made.raw() as raw:
        raw.execute((folder / "kuma.sql").read_bytes())
    return made


@pytest.fixture
async def store(database: servers.Database) -> AsyncIterator[postgres.PostgresStore]:
    opened = database.store(CATALOG)
    yield opened
    await opened.close()


COLUMNS = "type, mesh, name, version, spec, labels, status, creation_time, modification_time, owner_type, owner_name"


def rows_of(database: servers.Database) -> dict[res.Key, Any]:
    with database.raw() as raw:
        return {res.Key(*row[:3]): row[3:] for row in raw.execute(f"SELECT {COLUMNS} FROM public.resources")}


async def test_every_recorded_resource_is_served_as_it_lies_there(
    database: servers.Database, store: postgres.PostgresStore
) -> None:
    rows = rows_of(database)
    assert len(rows) == 72
    for key, (_, spec, labels, status, created, modified, *_) in rows.items():
        served = await store.get(key)
        assert json.loads(codec.spec_to_json(served)) == json.loads(MICROSECONDS.sub(r"\1Z", spec)), key
        assert json.loads(codec.status_to_json(served) or b"{}") == status, key
        assert dict(served.meta.labels) == (labels or {}), key
        assert served.meta.creation_time == created.replace(tzinfo=UTC)
        assert served.meta.modification_time == modified.replace(tzinfo=UTC)


async def test_serving_writes_nothing_and_writing_changes_one_row(
    database: servers.Database, store: postgres.PostgresStore
) -> None:
    before = rows_of(database)
    key = res.Key("MeshService", "meshservice-generated", "db")
    await store.update(await store.get(key))
    after = rows_of(database)
    assert {each for each in before if before[each] != after[each]} == {key}
    (version, spec, labels, status, created, _, *owner), (*old, _, _) = after[key], before[key]
    assert (version, json.loads(spec), labels, status, created) == (old[0] + 1, json.loads(old[1]), *old[2:5])
    assert owner == ["Mesh", "meshservice-generated"]


async def test_the_form_of_written_json_is_the_recorded_one(
    database: servers.Database, store: postgres.PostgresStore
) -> None:
    """Kuma prints protobuf and Go values in its order of keys; ours does the same, byte for byte, but for few kinds."""
    rows = rows_of(database)
    other = {
        key.kind for key, (_, spec, *_) in rows.items() if codec.spec_to_json(await store.get(key)) != spec.encode()
    }
    assert other <= {"DataplaneInsight"}


async def test_its_tokens_are_accepted(folder: Path, store: postgres.PostgresStore) -> None:
    issued = json.loads((folder / "tokens.json").read_text())
    keys = signing_keys.SigningKeys(store)
    online = tokens.ValidatorConfig(True, [])
    validator = tokens.TokenValidator(keys, lambda: datetime.now(UTC), dataplane=online, zone=online, user=online)
    user = await validator.validate_user(issued["user token of group mesh-system:admin"])
    assert user.name == "ops"
    assert "mesh-system:admin" in user.groups
    token = issued["dataplane token for mtls/web-1"]
    await validator.validate_dataplane(token, await store.get(res.Key("Dataplane", "mtls", "web-1")))
    with pytest.raises(errors.Unauthenticated):
        await validator.validate_dataplane(token, await store.get(res.Key("Dataplane", "mtls", "api-1")))


async def test_its_proxies_get_certificates_of_its_ca(store: postgres.PostgresStore) -> None:
    issuing = identities.Identities(store, lambda: datetime.now(UTC))
    mesh = await store.get(res.Key("Mesh", "", "mtls"))
    identity = await issuing.current(mesh, await store.get(res.Key("Dataplane", "mtls", "web-1")))
    assert identity is not None
    root = x509.load_pem_x509_certificate(
        (await store.get(res.Key("Secret", "mtls", "mtls.ca-builtin-cert-ca-1"))).spec.data
    )
    leaf = x509.load_pem_x509_certificates(identity.cert_pem)[0]
    leaf.verify_directly_issued_by(root)


async def test_starting_on_it_makes_nothing_new_but_what_it_lacked(
    database: servers.Database, store: postgres.PostgresStore
) -> None:
    """Keys, CAs and policies are there, so a start leaves each as it is."""
    before = rows_of(database)
    keys = signing_keys.SigningKeys(store)
    started = defaults.Defaults(
        store,
        CATALOG,
        role.Role(),
        keys,
        tokens.TokenIssuer(keys, lambda: datetime.now(UTC)),
        lambda: datetime.now(UTC),
        defaults.Settings(),
    )
    await started.ensure_started()
    after = rows_of(database)
    assert {key for key in before if before[key] != after.get(key)} == set()
    assert {key for key in after if key not in before} == set()


async def test_what_ours_writes_kuma_can_read(database: servers.Database, store: postgres.PostgresStore) -> None:
    """A copy of a recorded resource lies there as the original does."""
    original = await store.get(res.Key("Dataplane", "mtls", "web-1"))
    copy = dataclasses.replace(original, meta=dataclasses.replace(original.meta, name="web-9"))
    await store.create(copy, res.Key("Mesh", "", "mtls"))
    rows = rows_of(database)
    version, spec, labels, status, *_, owner_type, owner_name = rows[res.Key("Dataplane", "mtls", "web-9")]
    assert (version, owner_type, owner_name) == (0, "Mesh", "mtls")
    recorded = rows[original.key]
    assert (spec, labels, status) == (recorded[1], recorded[2], recorded[3])
