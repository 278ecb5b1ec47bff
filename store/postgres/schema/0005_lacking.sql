-- Lists the accounts without these keys in the order of their addresses, a page at a time.
DROP INDEX account_no_sha1;
DROP INDEX account_no_sha256;
CREATE INDEX account_no_sha1 ON account (domain, local) WHERE sha1_stored = '';
CREATE INDEX account_no_sha256 ON account (domain, local) WHERE sha256_stored = '';
