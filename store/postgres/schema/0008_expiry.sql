-- Finds messages that have been stored for too long.
CREATE INDEX offline_received ON offline (received);

-- Deletes messages that were received before oldest, in Unix milliseconds, most at most, and
-- returns their number. The caller holds the lock of batches alone, so nobody else counts
-- messages.
CREATE FUNCTION expire_offline(oldest bigint, most integer) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    d record;
    deleted bigint := 0;
BEGIN
    FOR d IN
        WITH old AS (SELECT account, id FROM offline WHERE received < oldest ORDER BY received LIMIT most),
            gone AS (DELETE FROM offline USING old WHERE offline.account = old.account AND offline.id = old.id
                RETURNING offline.account, offline.sender, offline.size)
        SELECT account, sender, count(*) AS messages, sum(size) AS bytes FROM gone GROUP BY account, sender
    LOOP
        PERFORM count_messages(d.account, '', -d.messages, -d.bytes);
        IF d.sender <> '' THEN
            PERFORM count_messages(d.account, d.sender, -d.messages, -d.bytes);
        END IF;
        DELETE FROM mailbox WHERE account = d.account AND messages = 0;
        deleted := deleted + d.messages;
    END LOOP;
    RETURN deleted;
END $$;
