-- How many messages were not kept. It is counted so that not to keep one takes a
-- commit too.
CREATE TABLE refused_message (
    id INTEGER PRIMARY KEY,
    n  INTEGER NOT NULL
);
INSERT INTO refused_message (id, n) VALUES (1, 0);
