-- Accounts and their data. Times are Unix seconds unless stated otherwise. Deleting
-- an account deletes all its rows.

CREATE TABLE account (
    id             INTEGER PRIMARY KEY,
    domain         TEXT    NOT NULL,
    local          TEXT    NOT NULL,
    salt           BLOB    NOT NULL,
    iterations     INTEGER NOT NULL,
    sha1_stored    BLOB    NOT NULL,
    sha1_server    BLOB    NOT NULL,
    sha256_stored  BLOB    NOT NULL,
    sha256_server  BLOB    NOT NULL,
    disabled       INTEGER NOT NULL DEFAULT 0,
    created        INTEGER NOT NULL,
    roster_version INTEGER NOT NULL,
    roster_floor   INTEGER NOT NULL, -- the oldest version since which all changes are known
    UNIQUE (domain, local)
);

-- What happened to accounts, for running servers. Rows are only appended; old ones
-- are deleted.
CREATE TABLE account_event (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    jid  TEXT    NOT NULL,
    kind INTEGER NOT NULL, -- store.EventKind
    at   INTEGER NOT NULL
);

CREATE TABLE roster_item (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    groups  TEXT    NOT NULL, -- separated by U+001F
    state   INTEGER NOT NULL, -- bits: 1 to, 2 from, 4 ask, 8 approved
    version INTEGER NOT NULL,
    PRIMARY KEY (account, contact)
) WITHOUT ROWID;

-- The last few removed items of each roster.
CREATE TABLE roster_removed (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (account, contact)
) WITHOUT ROWID;

CREATE TABLE roster_request (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    account  INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    contact  TEXT    NOT NULL,
    received INTEGER NOT NULL,
    stanza   BLOB    NOT NULL,
    UNIQUE (account, contact)
);

-- id is never reused, so that deleting up to an ID never deletes a newer message.
-- seq numbers an account's messages without gaps, so that the first and the last
-- stored message give their number.
CREATE TABLE offline (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    account  INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    seq      INTEGER NOT NULL,
    received INTEGER NOT NULL, -- Unix milliseconds
    stanza   BLOB    NOT NULL,
    UNIQUE (account, seq)
);

CREATE TABLE blob (
    id      INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    kind    TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    value   BLOB    NOT NULL,
    UNIQUE (account, kind, key)
);

CREATE TABLE last_activity (
    account INTEGER PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    at      INTEGER NOT NULL,
    status  BLOB    NOT NULL
);
