-- Has one row while this database is an unfinished copy, with what it is a copy of.
CREATE TABLE copying (
    source TEXT NOT NULL
);
