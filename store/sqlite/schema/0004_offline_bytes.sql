-- Messages that wait, with running counts: what an account or one sender has
-- waiting is the difference between the last and the first of its rows, which an
-- index finds, and deleting messages from the front changes no counter. The index
-- of senders is for mailboxes that have more than a few messages: it would cost
-- as much as all else that is written for a message. A message that is not in it
-- is one of the first few of its mailbox, as long as it waits.
CREATE TABLE offline_new (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never comes back, so that deleting up to one never deletes a newer message
    account      INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- counts the account's messages, without gaps from the oldest one waiting
    size         INTEGER NOT NULL, -- bytes of the stanza
    total        INTEGER NOT NULL, -- bytes of the account's messages up to and with this one
    sender       TEXT    NOT NULL, -- bare JID; '' for messages that are older than this table
    sender_seq   INTEGER NOT NULL, -- as seq and total, of the messages of this sender that are in the index of senders; 0: not in it
    sender_total INTEGER NOT NULL,
    received     INTEGER NOT NULL, -- Unix milliseconds
    stanza       BLOB    NOT NULL  -- last: what stands after it would be read through all of it
);

INSERT INTO sqlite_sequence (name, seq) SELECT 'offline_new', seq FROM sqlite_sequence WHERE name = 'offline';

INSERT INTO offline_new
    SELECT id, account, seq, length(stanza), sum(length(stanza)) OVER box, '', 0, 0, received, stanza
    FROM offline
    WINDOW box AS (PARTITION BY account ORDER BY seq); -- as the index has them: to sort all messages would take memory for all

DROP TABLE offline;
ALTER TABLE offline_new RENAME TO offline;

-- Both have all that an append needs to know.
CREATE UNIQUE INDEX offline_account ON offline (account, seq, total, size);
CREATE INDEX offline_sender ON offline (account, sender, sender_seq, sender_total, size) WHERE sender_seq > 0;
