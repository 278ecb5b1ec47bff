-- Invitations, by a hash of the token. Times are Unix seconds.
CREATE TABLE invitation (
    id      text COLLATE "C" PRIMARY KEY,
    domain  text    NOT NULL,
    local   text    NOT NULL, -- '': any
    inviter text    NOT NULL, -- '': an operator
    actor   text    NOT NULL,
    contact boolean NOT NULL, -- the inviter and the new account become contacts
    uses    bigint  NOT NULL, -- that are left
    created bigint  NOT NULL,
    until   bigint  NOT NULL
);

CREATE INDEX invitation_inviter ON invitation (inviter, until);
CREATE INDEX invitation_name ON invitation (domain, local) WHERE local <> '';
CREATE INDEX invitation_until ON invitation (until);

-- Reports whether an invitation reserves a name.
CREATE FUNCTION is_reserved(in_domain text, in_local text, now_s bigint) RETURNS boolean LANGUAGE sql AS $$
    SELECT EXISTS (SELECT 1 FROM invitation WHERE domain = in_domain AND local = in_local AND local <> '' AND uses > 0 AND until > now_s);
$$;

-- Adds an invitation and returns 1, or 0 if its name is taken, or -3 if there are too many of
-- its inviter. Those that ended at oldest or before are forgotten.
CREATE FUNCTION put_invitation(in_id text, in_domain text, in_local text, in_inviter text, in_actor text, in_contact boolean,
    in_uses bigint, in_created bigint, in_until bigint, max_others bigint, oldest bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM invitation WHERE inviter = in_inviter AND until > in_created) >= max_others THEN
        RETURN -3;
    END IF;
    IF in_local <> '' AND (EXISTS (SELECT 1 FROM account WHERE domain = in_domain AND local = in_local)
            OR EXISTS (SELECT 1 FROM tombstone WHERE jid = in_local || '@' || in_domain)
            OR is_reserved(in_domain, in_local, in_created)) THEN
        RETURN 0;
    END IF;
    DELETE FROM invitation WHERE until <= oldest;
    INSERT INTO invitation (id, domain, local, inviter, actor, contact, uses, created, until)
        VALUES (in_id, in_domain, in_local, in_inviter, in_actor, in_contact, in_uses, in_created, in_until);
    RETURN 1;
END $$;

-- As before, and deletes the invitations of the account.
CREATE OR REPLACE FUNCTION bury_account(in_domain text, in_local text, was bigint, now_s bigint, oldest bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    e bigint := delete_account(in_domain, in_local, was, now_s);
BEGIN
    IF e >= 0 THEN
        DELETE FROM invitation WHERE inviter = in_local || '@' || in_domain;
        DELETE FROM tombstone WHERE deleted < oldest;
        INSERT INTO tombstone (jid, deleted) VALUES (in_local || '@' || in_domain, now_s)
            ON CONFLICT (jid) DO UPDATE SET deleted = excluded.deleted;
    END IF;
    RETURN e;
END $$;

-- As before, and returns 2 also if an invitation reserves the name.
CREATE OR REPLACE FUNCTION register_account(in_domain text, in_local text,
    in_sha1_salt bytea, in_sha1_iterations integer, in_sha1_stored bytea, in_sha1_server bytea,
    in_sha256_salt bytea, in_sha256_iterations integer, in_sha256_stored bytea, in_sha256_server bytea,
    in_disabled boolean, in_created bigint, version bigint, now_s bigint, since bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM tombstone WHERE deleted < since;
    IF EXISTS (SELECT 1 FROM tombstone WHERE jid = in_local || '@' || in_domain) OR is_reserved(in_domain, in_local, now_s) THEN
        RETURN 2;
    END IF;
    RETURN put_account(in_domain, in_local, in_sha1_salt, in_sha1_iterations, in_sha1_stored, in_sha1_server,
        in_sha256_salt, in_sha256_iterations, in_sha256_stored, in_sha256_server, in_disabled, in_created, version, now_s, 0::smallint);
END $$;

-- As register_account, and uses an invitation. If inviter_domain is not NULL, the item is put
-- into the roster of that account, and the account into that of the new one. It returns -1
-- without a usable invitation or an account of the inviter, and -2 if the inviter's roster does
-- not have the version expect; then, as for 0 and 2, nothing has changed.
CREATE FUNCTION register_invited(in_domain text, in_local text,
    in_sha1_salt bytea, in_sha1_iterations integer, in_sha1_stored bytea, in_sha1_server bytea,
    in_sha256_salt bytea, in_sha256_iterations integer, in_sha256_stored bytea, in_sha256_server bytea,
    in_disabled boolean, in_created bigint, version bigint, now_s bigint, since bigint,
    in_id text, inviter_domain text, inviter_local text, expect bigint,
    put_contact text, put_name text, put_groups text, put_state bigint, keep bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    inviter_version bigint;
    result bigint;
BEGIN
    PERFORM 1 FROM invitation WHERE id = in_id AND domain = in_domain AND local IN ('', in_local) AND uses > 0 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN -1;
    END IF;
    IF inviter_domain IS NOT NULL THEN
        SELECT roster_version INTO inviter_version FROM account WHERE domain = inviter_domain AND local = inviter_local FOR NO KEY UPDATE;
        IF NOT FOUND THEN
            RETURN -1;
        ELSIF inviter_version <> expect THEN
            RETURN -2;
        END IF;
    END IF;
    UPDATE invitation SET uses = uses - 1 WHERE id = in_id; -- first, so that it does not reserve the name any more
    result := register_account(in_domain, in_local, in_sha1_salt, in_sha1_iterations, in_sha1_stored, in_sha1_server,
        in_sha256_salt, in_sha256_iterations, in_sha256_stored, in_sha256_server, in_disabled, in_created, version, now_s, since);
    IF result <> 1 THEN
        UPDATE invitation SET uses = uses + 1 WHERE id = in_id;
        RETURN result;
    END IF;
    IF inviter_domain IS NOT NULL THEN
        PERFORM apply_roster(inviter_domain, inviter_local, expect, put_contact, put_name, put_groups, put_state,
            NULL, NULL, NULL, NULL, NULL, keep);
        PERFORM apply_roster(in_domain, in_local, version, inviter_local || '@' || inviter_domain, '', '', 3,
            NULL, NULL, NULL, NULL, NULL, keep);
    END IF;
    RETURN 1;
END $$;
