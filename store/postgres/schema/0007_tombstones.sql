-- The names of deleted accounts, with the time in Unix seconds: clients cannot register them
-- again for a while.
CREATE TABLE tombstone (
    jid     text COLLATE "C" PRIMARY KEY,
    deleted bigint NOT NULL
);

CREATE INDEX tombstone_deleted ON tombstone (deleted);

-- As delete_account, and keeps the name; what is older than oldest is removed.
CREATE FUNCTION bury_account(in_domain text, in_local text, was bigint, now_s bigint, oldest bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    e bigint := delete_account(in_domain, in_local, was, now_s);
BEGIN
    IF e >= 0 THEN
        DELETE FROM tombstone WHERE deleted < oldest;
        INSERT INTO tombstone (jid, deleted) VALUES (in_local || '@' || in_domain, now_s)
            ON CONFLICT (jid) DO UPDATE SET deleted = excluded.deleted;
    END IF;
    RETURN e;
END $$;

-- As put_account, but returns 2 and does nothing if an account of this name was deleted at
-- since or later. Older names are removed.
CREATE FUNCTION register_account(in_domain text, in_local text,
    in_sha1_salt bytea, in_sha1_iterations integer, in_sha1_stored bytea, in_sha1_server bytea,
    in_sha256_salt bytea, in_sha256_iterations integer, in_sha256_stored bytea, in_sha256_server bytea,
    in_disabled boolean, in_created bigint, version bigint, now_s bigint, since bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tombstone WHERE deleted < since;
    IF EXISTS (SELECT 1 FROM tombstone WHERE jid = in_local || '@' || in_domain) THEN
        RETURN 2;
    END IF;
    RETURN put_account(in_domain, in_local, in_sha1_salt, in_sha1_iterations, in_sha1_stored, in_sha1_server,
        in_sha256_salt, in_sha256_iterations, in_sha256_stored, in_sha256_server, in_disabled, in_created, version, now_s, 0::smallint);
END $$;
