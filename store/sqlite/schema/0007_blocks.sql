-- Networks and accounts that may not use the server.
CREATE TABLE block (
    target  TEXT    NOT NULL PRIMARY KEY,
    reason  TEXT    NOT NULL,
    actor   TEXT    NOT NULL,
    created INTEGER NOT NULL,
    until   INTEGER NOT NULL -- 0: no end
) WITHOUT ROWID;
