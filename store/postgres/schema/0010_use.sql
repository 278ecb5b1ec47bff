-- The last day on which each account was used, as days since 1970 in UTC, so that those that
-- nobody needs any more can be found. An account that was never used has no row.
CREATE TABLE account_use (
    account bigint PRIMARY KEY REFERENCES account (id) ON DELETE CASCADE,
    day     bigint NOT NULL
) WITH (fillfactor = 80);
