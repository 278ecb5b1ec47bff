-- Sessions between a planned stop and the next start.
CREATE TABLE saved_session (
    id   INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
