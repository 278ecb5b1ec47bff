-- The names of deleted accounts, with the time in Unix seconds: clients cannot register them
-- again for a while.
CREATE TABLE tombstone (
    jid     TEXT PRIMARY KEY,
    deleted INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX tombstone_deleted ON tombstone (deleted);
