-- Creates the accounts that do not exist, with all their data, and returns for each, in
-- their order, whether it did. The data are arrays of columns; the first of each group
-- says which account a row belongs to, by its number from 1. The rows of an account are in
-- their order.
CREATE FUNCTION create_accounts(domains text[], locals text[],
    sha1_salts bytea[], sha1_iterations integer[], sha1_stored bytea[], sha1_server bytea[],
    sha256_salts bytea[], sha256_iterations integer[], sha256_stored bytea[], sha256_server bytea[],
    disabled boolean[], created bigint[], version bigint, now_s bigint,
    item_of integer[], item_contacts text[], item_names text[], item_groups text[], item_states bigint[],
    request_of integer[], request_contacts text[], request_received bigint[], request_stanzas bytea[],
    message_of integer[], message_senders text[], message_received bigint[], message_stanzas bytea[],
    blob_of integer[], blob_kinds text[], blob_keys text[], blob_values bytea[],
    last_of integer[], last_at bigint[], last_status bytea[]) RETURNS SETOF boolean LANGUAGE plpgsql AS $$
DECLARE
    ids bigint[]; -- of the new accounts; 0: it existed
    a   bigint;
BEGIN
    FOR i IN 1 .. cardinality(domains) LOOP
        a := 0;
        IF put_account(domains[i], locals[i], sha1_salts[i], sha1_iterations[i], sha1_stored[i], sha1_server[i],
                sha256_salts[i], sha256_iterations[i], sha256_stored[i], sha256_server[i], disabled[i], created[i], version, now_s, 0::smallint) = 1 THEN
            SELECT id INTO a FROM account WHERE domain = domains[i] AND local = locals[i];
        END IF;
        ids[i] := a;
    END LOOP;
    INSERT INTO roster_item (account, contact, name, groups, state, version)
        SELECT ids[u.n], u.contact, u.name, u.groups, u.state, create_accounts.version + row_number() OVER (PARTITION BY u.n ORDER BY u.place)
        FROM unnest(item_of, item_contacts, item_names, item_groups, item_states) WITH ORDINALITY AS u (n, contact, name, groups, state, place)
        WHERE ids[u.n] > 0;
    UPDATE account SET roster_version = roster_version + c.items
        FROM (SELECT ids[n] AS id, count(*) AS items FROM unnest(item_of) AS n WHERE ids[n] > 0 GROUP BY n) AS c WHERE account.id = c.id;
    INSERT INTO roster_request (account, contact, received, stanza)
        SELECT ids[u.n], u.contact, u.received, u.stanza
        FROM unnest(request_of, request_contacts, request_received, request_stanzas) WITH ORDINALITY AS u (n, contact, received, stanza, place)
        WHERE ids[u.n] > 0 ORDER BY u.place;
    INSERT INTO offline (account, sender, size, received, stanza)
        SELECT ids[u.n], u.sender, octet_length(u.stanza), u.received, u.stanza
        FROM unnest(message_of, message_senders, message_received, message_stanzas) WITH ORDINALITY AS u (n, sender, received, stanza, place)
        WHERE ids[u.n] > 0 ORDER BY u.place;
    INSERT INTO mailbox (account, sender, messages, bytes)
        SELECT ids[u.n], coalesce(u.sender, ''), count(*), sum(octet_length(u.stanza))
        FROM unnest(message_of, message_senders, message_stanzas) AS u (n, sender, stanza)
        WHERE ids[u.n] > 0 GROUP BY GROUPING SETS ((u.n), (u.n, u.sender));
    INSERT INTO blob (account, kind, key, value)
        SELECT ids[u.n], u.kind, u.key, u.value FROM unnest(blob_of, blob_kinds, blob_keys, blob_values) AS u (n, kind, key, value)
        WHERE ids[u.n] > 0;
    INSERT INTO last_activity (account, at, status)
        SELECT ids[u.n], u.at, u.status FROM unnest(last_of, last_at, last_status) AS u (n, at, status) WHERE ids[u.n] > 0;
    RETURN QUERY SELECT id > 0 FROM unnest(ids) WITH ORDINALITY AS u (id, place) ORDER BY u.place;
END $$;
