-- Kuma's tables as of its schema version 1710856785. Every statement may be repeated, and adds to an older schema
-- what it lacks, so that one script serves new databases, older ones and those without the trigger.
CREATE TABLE IF NOT EXISTS resources (
    name              varchar(253) NOT NULL,
    mesh              varchar(100) NOT NULL,
    type              varchar(100) NOT NULL,
    version           integer      NOT NULL,
    spec              text,
    creation_time     timestamp    NOT NULL DEFAULT now(),
    modification_time timestamp    NOT NULL DEFAULT now(),
    owner_name        varchar(100),
    owner_mesh        varchar(100),
    owner_type        varchar(100),
    labels            jsonb        DEFAULT '{}'::jsonb,
    status            jsonb        NOT NULL DEFAULT '{}'::jsonb,
    CONSTRAINT resources_pkey PRIMARY KEY (name, mesh, type)
);

ALTER TABLE resources ALTER COLUMN name TYPE varchar(253);
ALTER TABLE resources ADD COLUMN IF NOT EXISTS creation_time timestamp NOT NULL DEFAULT now();
ALTER TABLE resources ADD COLUMN IF NOT EXISTS modification_time timestamp NOT NULL DEFAULT now();
ALTER TABLE resources ADD COLUMN IF NOT EXISTS owner_name varchar(100);
ALTER TABLE resources ADD COLUMN IF NOT EXISTS owner_mesh varchar(100);
ALTER TABLE resources ADD COLUMN IF NOT EXISTS owner_type varchar(100);
ALTER TABLE resources ADD COLUMN IF NOT EXISTS labels jsonb DEFAULT '{}'::jsonb;
ALTER TABLE resources ADD COLUMN IF NOT EXISTS status jsonb NOT NULL DEFAULT '{}'::jsonb;

CREATE INDEX IF NOT EXISTS owner_fk_index ON resources (owner_type, owner_mesh, owner_name);

-- Leader election: one row a lock.
CREATE TABLE IF NOT EXISTS locks (
    name                  varchar(255) NOT NULL CONSTRAINT locks_pkey PRIMARY KEY,
    record_version_number bigint,
    data                  bytea,
    owner                 varchar(255)
);

CREATE SEQUENCE IF NOT EXISTS locks_rvn OWNED BY locks.record_version_number;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'owner_fk' AND conrelid = 'resources'::regclass) THEN
        ALTER TABLE resources ADD CONSTRAINT owner_fk FOREIGN KEY (owner_name, owner_mesh, owner_type)
            REFERENCES resources (name, mesh, type) ON DELETE CASCADE;
    END IF;
    -- A trigger that is there stays as it is: it may be Kuma's own.
    IF NOT EXISTS (
        SELECT FROM pg_trigger WHERE tgname = 'products_notify_event' AND tgrelid = 'resources'::regclass
    ) THEN
        CREATE OR REPLACE FUNCTION notify_event() RETURNS trigger LANGUAGE plpgsql AS $body$
        DECLARE
            subject resources;
        BEGIN
            IF TG_OP = 'DELETE' THEN
                subject := OLD;
            ELSE
                subject := NEW;
            END IF;
            PERFORM pg_notify('resource_events', json_build_object(
                'table', TG_TABLE_NAME,
                'action', TG_OP,
                'data', json_build_object('name', subject.name, 'mesh', subject.mesh, 'type', subject.type)
            )::text);
            RETURN NULL;
        END
        $body$;
        CREATE TRIGGER products_notify_event AFTER INSERT OR UPDATE OR DELETE ON resources
            FOR EACH ROW EXECUTE FUNCTION notify_event();
    END IF;
END
$$;
