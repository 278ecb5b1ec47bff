-- Offline messages with running counts. The number and size of the messages of an
-- account, or of one sender, is the difference between the last and the first row,
-- which an index finds. Deleting the oldest messages changes no counter. The index of
-- senders has no entries for the first few messages of a mailbox, because an entry
-- costs as much as all other writes for a message.
CREATE TABLE offline_new (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused, so that deleting up to an ID never deletes a newer message
    account      INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    seq          INTEGER NOT NULL, -- numbers the account's messages, without gaps
    size         INTEGER NOT NULL, -- bytes of the stanza
    total        INTEGER NOT NULL, -- bytes of the account's messages up to and including this one
    sender       TEXT    NOT NULL, -- bare JID; '' for messages that are older than this table
    sender_seq   INTEGER NOT NULL, -- like seq and total, for this sender's messages in the index of senders; 0: not in it
    sender_total INTEGER NOT NULL,
    received     INTEGER NOT NULL, -- Unix milliseconds
    stanza       BLOB    NOT NULL  -- last, because reading a later column would read all of it
);

INSERT INTO sqlite_sequence (name, seq) SELECT 'offline_new', seq FROM sqlite_sequence WHERE name = 'offline';

INSERT INTO offline_new
    SELECT id, account, seq, length(stanza), sum(length(stanza)) OVER box, '', 0, 0, received, stanza
    FROM offline
    WINDOW box AS (PARTITION BY account ORDER BY seq); -- in the order of the index: sorting would need memory for all messages

DROP TABLE offline;
ALTER TABLE offline_new RENAME TO offline;

-- Covering indexes for appending a message.
CREATE UNIQUE INDEX offline_account ON offline (account, seq, total, size);
CREATE INDEX offline_sender ON offline (account, sender, sender_seq, sender_total, size) WHERE sender_seq > 0;
