"""Settings of the stores: which one, where it is, how its readers and writers behave."""

from dataclasses import dataclass

from kuma.apps.control_plane.settings.fields import Duration, section, time, value


@dataclass(frozen=True, slots=True)
class SqliteSettings:
    """`store.sqlite`: the file; relative to the working directory of the control plane."""

    path: str = value("kuma.db")


@dataclass(frozen=True, slots=True)
class KubernetesStoreSettings:
    """`store.kubernetes`."""

    system_namespace: str = value("kuma-system")


@dataclass(frozen=True, slots=True)
class PostgresTlsSettings:
    """`store.postgres.tls`; mode is disable, verifyNone, verifyCa or verifyFull."""

    mode: str = value("disable")
    cert_path: str = value("")
    key_path: str = value("")
    ca_path: str = value("")
    disable_ssl_sni: bool = value(False, key="disableSSLSNI", env="KUMA_STORE_POSTGRES_TLS_DISABLE_SSLSNI")


@dataclass(frozen=True, slots=True)
class ReadReplicaSettings:
    """`store.postgres.readReplica`: ratio is the percentage of reads that go there."""

    host: str = value("")
    port: int = value(5432, go="uint")
    ratio: int = value(100, go="uint")


@dataclass(frozen=True, slots=True)
class PostgresSettings:
    """`store.postgres`; connection_timeout is in seconds, the pool's times apply to the driver `pgx`."""

    host: str = value("127.0.0.1")
    port: int = value(15432)
    user: str = value("kuma")
    password: str = value("kuma", secret=True)
    db_name: str = value("kuma")
    driver_name: str = value("pgx")
    connection_timeout: int = value(5)
    max_connection_idle_time: Duration = time("30m")
    max_connection_lifetime: Duration = time("1h")
    max_connection_lifetime_jitter: Duration = time("1m")
    health_check_interval: Duration = time("30s")
    min_open_connections: int = value(0)
    max_open_connections: int = value(50)
    max_idle_connections: int = value(50)
    max_list_query_elements: int = value(0, go="uint32")
    tls: PostgresTlsSettings = section(PostgresTlsSettings)
    tolerate_newer_db_versions: bool = value(False, key="tolerateNewerDBVersions")
    read_replica: ReadReplicaSettings = section(ReadReplicaSettings)


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """`store.cache`: Kuma's read cache. Our stores answer from memory, so it is accepted and has no effect."""

    enabled: bool = value(True)
    expiration_time: Duration = time("1s")


@dataclass(frozen=True, slots=True)
class UpsertSettings:
    """`store.upsert`: retries of a read, change and write that met another writer."""

    conflict_retry_base_backoff: Duration = time("200ms")
    conflict_retry_max_times: int = value(10, go="uint")
    conflict_retry_jitter_percent: int = value(30, go="uint")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """`store`. The type is `sqlite` where nothing is said (Kuma: `memory`); decisions/0001-sqlite-default.md."""

    type: str = value("sqlite")
    sqlite: SqliteSettings = section(SqliteSettings)
    kubernetes: KubernetesStoreSettings = section(KubernetesStoreSettings)
    postgres: PostgresSettings = section(PostgresSettings)
    cache: CacheSettings = section(CacheSettings)
    upsert: UpsertSettings = section(UpsertSettings)
    unsafe_delete: bool = value(False)
