-- Keys for each hash function of SCRAM have a salt and an iteration count of their own, and
-- may be missing: then they are empty. The columns of SHA-256 are NULL for accounts that are
-- older than these columns, and mean those of SHA-1, so that no row has to be rewritten.
ALTER TABLE account RENAME COLUMN salt TO sha1_salt;
ALTER TABLE account RENAME COLUMN iterations TO sha1_iterations;
ALTER TABLE account ADD COLUMN sha256_salt BLOB;
ALTER TABLE account ADD COLUMN sha256_iterations INTEGER;

-- Finds out whether a domain has accounts without these keys.
CREATE INDEX account_no_sha1 ON account (domain) WHERE sha1_stored = X'';
CREATE INDEX account_no_sha256 ON account (domain) WHERE sha256_stored = X'';
