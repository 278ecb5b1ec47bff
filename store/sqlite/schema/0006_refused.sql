-- The number of refused messages. It is counted so that refusing a message takes a
-- commit too.
CREATE TABLE refused_message (
    id INTEGER PRIMARY KEY,
    n  INTEGER NOT NULL
);
INSERT INTO refused_message (id, n) VALUES (1, 0);
