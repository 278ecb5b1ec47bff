-- Has one row while this database is an unfinished copy, with what it is a copy of.
CREATE TABLE copying (
    source text NOT NULL
);

-- As before, but for messages of unknown senders (''), which copies of databases that are older
-- than the senders may have: they are counted in the total only, which has the same name.
CREATE OR REPLACE FUNCTION delete_offline(in_domain text, in_local text, ids bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
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
        IF d.sender <> '' THEN
            PERFORM count_messages(a, d.sender, -d.messages, -d.bytes);
        END IF;
        deleted := deleted + d.messages;
    END LOOP;
    DELETE FROM mailbox WHERE account = a AND messages = 0;
    RETURN deleted;
END $$;
