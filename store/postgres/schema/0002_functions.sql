-- Writes that take several steps are functions, so that each is one statement and a
-- batch of them is one round trip. They report what a caller has to expect, such as a
-- missing account, by their result: an error would undo the whole batch. Negative results:
--   -1 there is no such account    -2 something else has happened to it
--   -3 quota    -4 quota, the sender is in the roster    -5 the sender is blocked

-- Records an event, forgets old ones except the newest, and wakes the servers.
CREATE FUNCTION note_event(new_id bigint, about text, what smallint, now_s bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_event (id, jid, kind, at) VALUES (new_id, about, what, now_s);
    DELETE FROM account_event WHERE id < (SELECT e.id FROM account_event e WHERE e.at >= now_s - 86400 ORDER BY e.id LIMIT 1);
    PERFORM pg_notify('roost_account_event', '');
END $$;

-- Creates an account and returns 1. If it exists, it returns 0; unless kind is 0, it
-- replaces the credentials with an event of that kind.
CREATE FUNCTION put_account(in_domain text, in_local text,
    in_sha1_salt bytea, in_sha1_iterations integer, in_sha1_stored bytea, in_sha1_server bytea,
    in_sha256_salt bytea, in_sha256_iterations integer, in_sha256_stored bytea, in_sha256_server bytea,
    in_disabled boolean, in_created bigint, version bigint, now_s bigint, kind smallint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    e bigint := nextval('account_event_id');
BEGIN
    INSERT INTO account (domain, local, sha1_salt, sha1_iterations, sha1_stored, sha1_server,
            sha256_salt, sha256_iterations, sha256_stored, sha256_server,
            disabled, created, roster_version, roster_floor, generation, event)
        VALUES (in_domain, in_local, in_sha1_salt, in_sha1_iterations, in_sha1_stored, in_sha1_server,
            in_sha256_salt, in_sha256_iterations, in_sha256_stored, in_sha256_server,
            in_disabled, in_created, version, version, e, e)
        ON CONFLICT (domain, local) DO NOTHING;
    IF FOUND THEN
        PERFORM note_event(e, in_local || '@' || in_domain, 1::smallint, now_s);
        RETURN 1;
    END IF;
    IF kind <> 0 THEN
        PERFORM set_credentials(in_domain, in_local, -1, in_sha1_salt, in_sha1_iterations, in_sha1_stored, in_sha1_server,
            in_sha256_salt, in_sha256_iterations, in_sha256_stored, in_sha256_server, now_s, kind);
    END IF;
    RETURN 0;
END $$;

-- Locks an account's row and returns its ID if its newest event is was, or was is -1.
CREATE FUNCTION account_if(in_domain text, in_local text, was bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a record;
BEGIN
    SELECT id, event INTO a FROM account WHERE domain = in_domain AND local = in_local FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN -1;
    ELSIF was <> -1 AND a.event <> was THEN
        RETURN -2;
    END IF;
    RETURN a.id;
END $$;

-- Returns the ID of the event.
CREATE FUNCTION set_credentials(in_domain text, in_local text, was bigint,
    in_sha1_salt bytea, in_sha1_iterations integer, in_sha1_stored bytea, in_sha1_server bytea,
    in_sha256_salt bytea, in_sha256_iterations integer, in_sha256_stored bytea, in_sha256_server bytea,
    now_s bigint, kind smallint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a bigint := account_if(in_domain, in_local, was);
    e bigint;
BEGIN
    IF a < 0 THEN
        RETURN a;
    END IF;
    e := nextval('account_event_id');
    UPDATE account SET sha1_salt = in_sha1_salt, sha1_iterations = in_sha1_iterations, sha1_stored = in_sha1_stored, sha1_server = in_sha1_server,
        sha256_salt = in_sha256_salt, sha256_iterations = in_sha256_iterations, sha256_stored = in_sha256_stored, sha256_server = in_sha256_server, event = e WHERE id = a;
    PERFORM note_event(e, in_local || '@' || in_domain, kind, now_s);
    RETURN e;
END $$;

-- Adds the keys of the hash functions that the account has none for, which is no event.
-- Returns the ID of the account.
CREATE FUNCTION add_keys(in_domain text, in_local text, was bigint,
    in_sha1_salt bytea, in_sha1_iterations integer, in_sha1_stored bytea, in_sha1_server bytea,
    in_sha256_salt bytea, in_sha256_iterations integer, in_sha256_stored bytea, in_sha256_server bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a bigint := account_if(in_domain, in_local, was);
BEGIN
    UPDATE account SET sha1_salt = in_sha1_salt, sha1_iterations = in_sha1_iterations, sha1_stored = in_sha1_stored, sha1_server = in_sha1_server
        WHERE id = a AND sha1_stored = '' AND in_sha1_stored <> '';
    UPDATE account SET sha256_salt = in_sha256_salt, sha256_iterations = in_sha256_iterations, sha256_stored = in_sha256_stored, sha256_server = in_sha256_server
        WHERE id = a AND sha256_stored = '' AND in_sha256_stored <> '';
    RETURN a;
END $$;

-- Returns the ID of the event.
CREATE FUNCTION set_disabled(in_domain text, in_local text, in_disabled boolean, now_s bigint, kind smallint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a bigint := account_if(in_domain, in_local, -1);
    e bigint;
BEGIN
    IF a < 0 THEN
        RETURN a;
    END IF;
    e := nextval('account_event_id');
    UPDATE account SET disabled = in_disabled, event = e WHERE id = a;
    PERFORM note_event(e, in_local || '@' || in_domain, kind, now_s);
    RETURN e;
END $$;

-- Deletes an account, and ends its subscriptions, requests and approvals in the rosters of
-- others, because the next account of its name belongs to someone else. Returns the ID of
-- the event.
CREATE FUNCTION delete_account(in_domain text, in_local text, was bigint, now_s bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a  bigint := account_if(in_domain, in_local, was);
    me text := in_local || '@' || in_domain;
    e  bigint;
    o  record;
    former bigint;
    asked  boolean;
BEGIN
    IF a < 0 THEN
        RETURN a;
    END IF;
    e := nextval('account_event_id');
    PERFORM note_event(e, me, 2::smallint, now_s);
    FOR o IN
        WITH contact(bare) AS (
            SELECT split_part(i.contact, '/', 1) FROM roster_item i WHERE i.account = a AND i.state & 7 <> 0
            UNION SELECT r.contact FROM roster_request r WHERE r.account = a)
        SELECT t.id, t.domain, t.local, t.roster_version FROM account t WHERE t.id IN (
            SELECT n.id FROM contact c JOIN account n
                ON n.domain = substr(c.bare, strpos(c.bare, '@') + 1) AND n.local = left(c.bare, greatest(strpos(c.bare, '@') - 1, 0))
            UNION SELECT i.account FROM roster_item i WHERE i.contact = me AND i.state & 8 <> 0)
        ORDER BY t.id FOR NO KEY UPDATE OF t
    LOOP
        DELETE FROM roster_request WHERE account = o.id AND contact = me;
        asked := FOUND;
        SELECT state INTO former FROM roster_item WHERE account = o.id AND contact = me;
        former := coalesce(former, 0);
        IF former <> 0 THEN
            UPDATE roster_item SET state = 0, version = o.roster_version + 1 WHERE account = o.id AND contact = me;
            UPDATE account SET roster_version = o.roster_version + 1 WHERE id = o.id;
        END IF;
        IF asked THEN
            former := former | 16;
        END IF;
        IF former <> 0 THEN
            INSERT INTO event_contact (event, contact, state) VALUES (e, o.local || '@' || o.domain, former);
        END IF;
    END LOOP;
    DELETE FROM account WHERE id = a;
    RETURN e;
END $$;

-- Changes one roster, and returns its version. status is 0, or negative as above: then
-- nothing has changed. Parameters that are NULL mean that there is no such part.
CREATE FUNCTION apply_roster(in_domain text, in_local text, expect bigint,
    put_contact text, put_name text, put_groups text, put_state bigint, remove_contact text,
    request_from text, request_received bigint, request_stanza bytea, remove_request text, keep bigint,
    OUT status bigint, OUT version bigint) LANGUAGE plpgsql AS $$
DECLARE
    a record;
    oldest bigint;
BEGIN
    SELECT id, roster_version, roster_floor INTO a FROM account WHERE domain = in_domain AND local = in_local FOR NO KEY UPDATE;
    version := coalesce(a.roster_version, 0);
    status := CASE WHEN a.id IS NULL THEN -1 WHEN version <> expect THEN -2 ELSE 0 END;
    IF status < 0 THEN
        RETURN;
    END IF;
    IF put_contact IS NOT NULL THEN
        version := version + 1;
        INSERT INTO roster_item AS i (account, contact, name, groups, state, version)
            VALUES (a.id, put_contact, put_name, put_groups, put_state, apply_roster.version)
            ON CONFLICT (account, contact) DO UPDATE SET name = excluded.name, groups = excluded.groups,
                state = excluded.state, version = excluded.version;
        DELETE FROM roster_removed WHERE account = a.id AND contact = put_contact;
    END IF;
    IF remove_contact IS NOT NULL THEN
        DELETE FROM roster_item WHERE account = a.id AND contact = remove_contact;
        IF FOUND THEN
            version := version + 1;
            INSERT INTO roster_removed (account, contact, version) VALUES (a.id, remove_contact, apply_roster.version);
            SELECT r.version INTO oldest FROM roster_removed r WHERE r.account = a.id ORDER BY r.version DESC LIMIT 1 OFFSET keep;
            IF FOUND THEN
                a.roster_floor := oldest;
                DELETE FROM roster_removed r WHERE r.account = a.id AND r.version <= oldest;
            END IF;
        END IF;
    END IF;
    IF version <> a.roster_version THEN
        UPDATE account SET roster_version = apply_roster.version, roster_floor = a.roster_floor WHERE id = a.id;
    END IF;
    IF remove_request IS NOT NULL THEN
        DELETE FROM roster_request WHERE account = a.id AND contact = remove_request;
    END IF;
    IF request_from IS NOT NULL THEN
        INSERT INTO roster_request (account, contact, received, stanza) VALUES (a.id, request_from, request_received, request_stanza)
            ON CONFLICT (account, contact) DO UPDATE SET received = excluded.received, stanza = excluded.stanza;
    END IF;
END $$;

-- Changes several rosters, or none: then failed is the index of the update that failed,
-- from 0, with its status, and current the version of that roster. The block with an
-- exception handler is a subtransaction.
CREATE FUNCTION apply_rosters(domains text[], locals text[], expects bigint[],
    put_contacts text[], put_names text[], put_groups text[], put_states bigint[], remove_contacts text[],
    request_froms text[], request_receiveds bigint[], request_stanzas bytea[], remove_requests text[], keep bigint,
    OUT failed bigint, OUT status bigint, OUT current bigint, OUT versions bigint[]) LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        SELECT * INTO r FROM apply_roster(domains[i], locals[i], expects[i], put_contacts[i], put_names[i], put_groups[i],
            put_states[i], remove_contacts[i], request_froms[i], request_receiveds[i], request_stanzas[i], remove_requests[i], keep);
        IF r.status < 0 THEN
            failed := i - 1;
            status := r.status;
            current := r.version;
            RAISE EXCEPTION USING ERRCODE = 'RO001';
        END IF;
        versions[i] := r.version;
    END LOOP;
    status := 0;
EXCEPTION WHEN SQLSTATE 'RO001' THEN
    versions := NULL; -- variables keep their values, the tables do not
END $$;

-- Adds to the number and size of messages of an account and one sender ('' for all).
CREATE FUNCTION count_messages(a bigint, of_sender text, n bigint, size bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO mailbox AS m (account, sender, messages, bytes) VALUES (a, of_sender, n, size)
        ON CONFLICT (account, sender) DO UPDATE SET messages = m.messages + excluded.messages, bytes = m.bytes + excluded.bytes;
$$;

-- Stores a message and returns its ID. A message that is refused takes a commit with a
-- write to the log too: otherwise the time to the next response would reveal whether the
-- account exists.
CREATE FUNCTION append_offline(in_domain text, in_local text, sender_full text, sender_bare text, sender_domain text,
    in_stanza bytea, in_received bigint, max_messages bigint, max_bytes bigint, max_sender_messages bigint, max_sender_bytes bigint)
    RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a bigint;
    box record;
    n bigint := octet_length(in_stanza);
    new_id bigint := 0;
BEGIN
    SELECT id INTO a FROM account WHERE domain = in_domain AND local = in_local FOR NO KEY UPDATE;
    IF a IS NULL THEN
        new_id := -1;
    ELSIF sender_bare <> in_local || '@' || in_domain AND EXISTS (SELECT 1 FROM blob
            WHERE account = a AND kind = 'urn:xmpp:blocking' AND key IN (sender_full, sender_bare, sender_domain)) THEN
        new_id := -5;
    ELSE
        SELECT coalesce(sum(messages) FILTER (WHERE sender = ''), 0) AS messages, coalesce(sum(bytes) FILTER (WHERE sender = ''), 0) AS bytes,
            coalesce(sum(messages) FILTER (WHERE sender <> ''), 0) AS sender_messages, coalesce(sum(bytes) FILTER (WHERE sender <> ''), 0) AS sender_bytes
            INTO box FROM mailbox WHERE account = a AND sender IN ('', sender_bare);
        IF max_messages > 0 AND box.messages >= max_messages OR max_bytes > 0 AND box.bytes + n > max_bytes
            OR max_sender_messages > 0 AND box.sender_messages >= max_sender_messages
            OR max_sender_bytes > 0 AND box.sender_bytes + n > max_sender_bytes THEN
            new_id := CASE WHEN EXISTS (SELECT 1 FROM roster_item WHERE account = a AND contact = sender_bare) THEN -4 ELSE -3 END;
        END IF;
    END IF;
    IF new_id < 0 THEN
        PERFORM pg_logical_emit_message(true, 'roost', '');
        RETURN new_id;
    END IF;
    INSERT INTO offline (account, sender, size, received, stanza) VALUES (a, sender_bare, n, in_received, in_stanza) RETURNING id INTO new_id;
    PERFORM count_messages(a, '', 1, n);
    PERFORM count_messages(a, sender_bare, 1, n);
    RETURN new_id;
END $$;

-- Deletes messages by their IDs, and returns their number.
CREATE FUNCTION delete_offline(in_domain text, in_local text, ids bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    a bigint;
    d record;
    deleted bigint := 0;
BEGIN
    SELECT id INTO a FROM account WHERE domain = in_domain AND local = in_local FOR NO KEY UPDATE;
    IF a IS NULL THEN
        RETURN 0;
    END IF;
    FOR d IN
        WITH gone AS (DELETE FROM offline WHERE account = a AND id = ANY (ids) RETURNING sender, size)
        SELECT sender, count(*) AS messages, sum(size) AS bytes FROM gone GROUP BY sender
    LOOP
        PERFORM count_messages(a, '', -d.messages, -d.bytes);
        PERFORM count_messages(a, d.sender, -d.messages, -d.bytes);
        deleted := deleted + d.messages;
    END LOOP;
    DELETE FROM mailbox WHERE account = a AND messages = 0;
    RETURN deleted;
END $$;

-- Returns 1, or -3 if there are too many blocks of other targets.
CREATE FUNCTION put_block(in_target text, in_reason text, in_actor text, in_created bigint, in_until bigint, max_others bigint) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM block WHERE target <> in_target) >= max_others THEN
        RETURN -3;
    END IF;
    INSERT INTO block (target, reason, actor, created, until) VALUES (in_target, in_reason, in_actor, in_created, in_until)
        ON CONFLICT (target) DO UPDATE SET reason = excluded.reason, actor = excluded.actor, created = excluded.created, until = excluded.until;
    RETURN 1;
END $$;

-- Returns and deletes the oldest sessions: as many as fit in max_bytes, but at least one.
CREATE FUNCTION take_sessions(max_bytes bigint) RETURNS SETOF bytea LANGUAGE plpgsql AS $$
DECLARE
    s record;
    size bigint := 0;
    last bigint;
BEGIN
    FOR s IN SELECT id, data FROM saved_session ORDER BY id LOOP
        size := size + octet_length(s.data);
        EXIT WHEN size > max_bytes AND last IS NOT NULL;
        last := s.id;
        RETURN NEXT s.data;
    END LOOP;
    DELETE FROM saved_session WHERE id <= last;
END $$;
