-- As before, but old events stay until forget_deleted deletes them: there may be millions, for
-- example a day after an import, and no change of an account should wait for that.
CREATE OR REPLACE FUNCTION note_event(new_id bigint, about text, what smallint, now_s bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO account_event (id, jid, kind, at) VALUES (new_id, about, what, now_s);
    PERFORM pg_notify('roost_account_event', '');
END $$;

-- Deletes names of accounts that were deleted before names, and account events before events
-- that come after the event after, most rows of each at most, and the contacts of one event more.
-- Returns the event after which to continue, or -1 if nothing is left. The newest event stays: its
-- ID is the one from which servers continue.
CREATE FUNCTION forget_deleted(names bigint, events bigint, after bigint, most bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    e record;
    n bigint;
    forgotten bigint;
    seen bigint := 0;
    gone bigint := 0;
    last bigint := after;
BEGIN
    DELETE FROM tombstone WHERE jid IN (SELECT t.jid FROM tombstone t WHERE t.deleted < names ORDER BY t.deleted LIMIT most);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    FOR e IN SELECT id, at FROM account_event WHERE id > after AND id < (SELECT max(id) FROM account_event) ORDER BY id LIMIT most LOOP
        last := e.id;
        seen := seen + 1;
        CONTINUE WHEN e.at >= events;
        DELETE FROM event_contact WHERE event = e.id;
        GET DIAGNOSTICS n = ROW_COUNT;
        DELETE FROM account_event WHERE id = e.id;
        gone := gone + 1 + n;
        EXIT WHEN gone >= most;
    END LOOP;
    IF forgotten = most OR gone >= most OR gone > 0 AND seen = most THEN
        RETURN last;
    END IF;
    RETURN -1;
END $$;
