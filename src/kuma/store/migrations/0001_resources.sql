-- One row a resource. Times are microseconds since 1970 (UTC); labels, spec and status are JSON.
CREATE TABLE resources (
    kind        TEXT    NOT NULL,
    mesh        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    modified    INTEGER NOT NULL,
    labels      TEXT    NOT NULL,
    spec        BLOB    NOT NULL,
    status      BLOB,
    owner_kind  TEXT,
    owner_mesh  TEXT,
    owner_name  TEXT,
    PRIMARY KEY (kind, mesh, name)
);

-- The counter of all writes. Deletions advance it too, so it cannot be derived from the rows.
CREATE TABLE revision (
    only  INTEGER PRIMARY KEY CHECK (only = 1),
    value INTEGER NOT NULL
);

INSERT INTO revision (only, value) VALUES (1, 0);
