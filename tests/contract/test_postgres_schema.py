"""The schema: made once, added to where it is older, refused in Kuma's words where it is newer or missing; and TLS."""

import datetime
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import kuma
from kuma.apps.control_plane import main
from kuma.base import errors
from kuma.resources import catalog
from kuma.store import postgres_connection as connecting
from kuma.store import postgres_schema
from tests.kit import postgres as servers

VERSION = 1710856785
NO_KINDS = catalog.Catalog([])


@pytest.fixture
def empty() -> servers.Database:
    return servers.shared().new_database(migrated=False)


def environment(database: servers.Database, **more: str) -> dict[str, str]:
    return {
        "KUMA_STORE_TYPE": "postgres",
        "KUMA_STORE_POSTGRES_HOST": "127.0.0.1",
        "KUMA_STORE_POSTGRES_PORT": str(database.server.port),
        "KUMA_STORE_POSTGRES_USER": "kuma",
        "KUMA_STORE_POSTGRES_PASSWORD": servers.PASSWORD,
        "KUMA_STORE_POSTGRES_DB_NAME": database.name,
        **more,
    }


def columns(database: servers.Database) -> list[Any]:
    with database.raw() as raw:
        return raw.execute(
            "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
        ).fetchall()


def test_migrate_up_says_what_it_did(empty: servers.Database, tmp_path: Path) -> None:
    env = environment(empty, HOME=str(tmp_path))
    first = CliRunner().invoke(main.main, ["migrate", "up"], env=env)
    again = CliRunner().invoke(main.main, ["migrate", "up"], env=env)
    assert (first.exit_code, first.output) == (0, f"DB has been migrated for Kuma {kuma.VERSION}\n")
    assert (again.exit_code, again.output) == (0, f"DB has already been migrated for Kuma {kuma.VERSION}\n")
    with empty.raw() as raw:
        assert raw.execute("SELECT version, dirty FROM schema_migrations").fetchall() == [(VERSION, False)]


async def test_a_database_without_schema_is_refused(empty: servers.Database) -> None:
    with pytest.raises(errors.Unavailable) as refused:
        empty.store(NO_KINDS)
    assert str(refused.value) == (
        'database is not migrated. Run "kuma-cp migrate up" to update database to the newest schema'
    )


async def test_a_newer_schema_is_refused_unless_tolerated(empty: servers.Database) -> None:
    postgres_schema.migrate(empty.options())
    with empty.raw() as raw:
        raw.execute("UPDATE schema_migrations SET version = version + 1")
    text = (
        f"DB is migrated to newer version than Kuma. DB migration version {VERSION + 1}. "
        f"Kuma migration version {VERSION}. Run newer version of Kuma"
    )
    with pytest.raises(errors.Unavailable) as refused:
        empty.store(NO_KINDS)
    assert str(refused.value) == text
    with pytest.raises(errors.Unavailable) as refused:
        postgres_schema.migrate(empty.options())
    assert str(refused.value) == text
    assert postgres_schema.migrate(empty.options(tolerate_newer_schema=True)) is False
    await empty.store(NO_KINDS, options={"tolerate_newer_schema": True}).close()


async def test_a_migration_that_was_cut_short_is_refused(empty: servers.Database) -> None:
    postgres_schema.migrate(empty.options())
    with empty.raw() as raw:
        raw.execute("UPDATE schema_migrations SET dirty = true")
    with pytest.raises(errors.Unavailable, match="Dirty database version"):
        empty.store(NO_KINDS)


def test_an_older_schema_is_added_to(empty: servers.Database) -> None:
    """The first schemas had neither owners, nor labels, nor a status; what they hold stays."""
    with empty.raw() as raw:
        raw.execute("CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)")
        raw.execute("INSERT INTO schema_migrations VALUES (1580128050, false)")
        raw.execute(
            "CREATE TABLE resources (name varchar(100) NOT NULL, mesh varchar(100) NOT NULL, type varchar(100) NOT NULL,"
            " version integer NOT NULL, spec text, PRIMARY KEY (name, mesh, type))"
        )
        raw.execute("""INSERT INTO resources VALUES ('default', '', 'Mesh', 3, '{}')""")
    assert postgres_schema.migrate(empty.options()) is True
    new = empty.server.new_database()
    assert sorted(columns(empty)) == sorted(columns(new))
    with empty.raw() as raw:
        kept = raw.execute("SELECT name, version, labels, status FROM resources").fetchall()
        assert kept == [("default", 3, {}, {})]
        assert raw.execute("SELECT version FROM schema_migrations").fetchall() == [(VERSION,)]


def test_the_tables_are_those_of_a_recorded_database(empty: servers.Database) -> None:
    root = Path(os.environ.get("KUMA_RECORDINGS") or Path(__file__).parents[2] / "../shared/recordings").resolve()
    dump = root / "postgres/kuma.sql"
    if not dump.exists():
        pytest.skip(f"no recorded database at {dump}: set KUMA_RECORDINGS to the folder above it")
    with empty.raw() as raw:
        raw.execute(dump.read_bytes())
    made = empty.server.new_database()
    assert columns(made) == columns(empty)
    assert constraints(made) == constraints(empty)


def constraints(database: servers.Database) -> list[Any]:
    with database.raw() as raw:
        found = raw.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('p', 'f', 'u')"
        )
        indexes = raw.execute("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'")
        return sorted(found.fetchall()) + sorted(indexes.fetchall())


async def test_a_trigger_that_a_dump_left_out_is_put_back(empty: servers.Database) -> None:
    postgres_schema.migrate(empty.options())
    with empty.raw() as raw:
        raw.execute("DROP TRIGGER products_notify_event ON resources")
    await empty.store(NO_KINDS).close()
    with empty.raw() as raw:
        raw.execute("LISTEN resource_events")
        raw.execute("INSERT INTO resources (name, mesh, type, version) VALUES ('n', 'm', 'T', 0)")
        raw.execute("DELETE FROM resources")
        heard = [each.payload for each in raw.notifies(timeout=5, stop_after=2)]
    subject = '"data" : {"name" : "n", "mesh" : "m", "type" : "T"}'
    assert heard == [f'{{"table" : "resources", "action" : "{action}", {subject}}}' for action in ("INSERT", "DELETE")]


async def test_a_wrong_password_is_refused_without_showing_it(empty: servers.Database) -> None:
    with pytest.raises(errors.Unavailable, match='password authentication failed for user "kuma"') as refused:
        empty.store(NO_KINDS, options={"password": "hunter2"})
    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(empty.options(password="hunter2"))
    assert refused.value.__cause__ is None


# TLS


def _certificate(name: str, issuer: tuple[x509.Certificate, Any] | None) -> tuple[x509.Certificate, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    )
    return built.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def _write(folder: Path, name: str, pair: tuple[x509.Certificate, Any]) -> tuple[str, str]:
    cert, key = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(pair[0].public_bytes(serialization.Encoding.PEM))
    key.touch(0o600)
    key.write_bytes(
        pair[1].private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return str(cert), str(key)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[servers.Server, Path]]:
    """A server for `localhost` whose certificate a CA of our own has signed, and that wants TLS and client certificates."""
    folder = tmp_path_factory.mktemp("tls")
    root = _certificate("root", None)
    _write(folder, "ca", root)
    _write(folder, "other", _certificate("other root", None))
    _write(folder, "client", _certificate("kuma", root))
    _write(folder, "server", _certificate("localhost", root))
    server = servers.Server()
    for name in ("ca.crt", "server.crt", "server.key"):
        shutil.copy(folder / name, server.data / name)
        (server.data / name).chmod(0o600)
        shutil.chown(server.data / name, server.data.owner())
    with (server.data / "postgresql.conf").open("a") as conf:
        conf.write("ssl = on\nssl_ca_file = 'ca.crt'\n")
    (server.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n")
    server.stop()
    server.start()
    yield server, folder
    server.close()


def tls(folder: Path, mode: str, ca: str = "ca", client: bool = True) -> connecting.Tls:
    return connecting.Tls(
        mode=mode,
        cert_path=str(folder / "client.crt") if client else "",
        key_path=str(folder / "client.key") if client else "",
        ca_path=str(folder / f"{ca}.crt"),
    )


@pytest.mark.parametrize(
    ("mode", "host", "ca", "refusal"),
    [
        ("verifyNone", "127.0.0.1", "other", None),
        ("verifyCa", "127.0.0.1", "ca", None),
        ("verifyCa", "127.0.0.1", "other", "certificate verify failed"),
        ("verifyFull", "localhost", "ca", None),
        ("verifyFull", "127.0.0.1", "ca", "does not match host name"),
        ("disable", "127.0.0.1", "ca", "no pg_hba.conf entry"),
    ],
)
def test_tls_modes(secured: tuple[servers.Server, Path], mode: str, host: str, ca: str, refusal: str | None) -> None:
    server, folder = secured
    options = server.options(host=host, tls=tls(folder, mode, ca))
    if refusal is not None:
        with pytest.raises(errors.Unavailable, match=refusal):
            postgres_schema.migrate(options)
        return
    postgres_schema.migrate(options)
    with psycopg.connect(**connecting.parameters(options)) as connection:
        encrypted = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone()
    assert encrypted == (True,)


def test_a_server_that_wants_a_client_certificate_gets_none_it_was_not_given(
    secured: tuple[servers.Server, Path],
) -> None:
    server, folder = secured
    with pytest.raises(errors.Unavailable, match="certificate"):
        postgres_schema.migrate(server.options(tls=tls(folder, "verifyCa", client=False)))
