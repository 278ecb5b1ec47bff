-- Invitations, by a hash of the token. Times are Unix seconds.
CREATE TABLE invitation (
    id      TEXT PRIMARY KEY,
    domain  TEXT    NOT NULL,
    local   TEXT    NOT NULL, -- '': any
    inviter TEXT    NOT NULL, -- '': an operator
    actor   TEXT    NOT NULL,
    contact INTEGER NOT NULL, -- the inviter and the new account become contacts
    uses    INTEGER NOT NULL, -- that are left
    created INTEGER NOT NULL,
    until   INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX invitation_inviter ON invitation (inviter, until);
CREATE INDEX invitation_name ON invitation (domain, local) WHERE local <> '';
CREATE INDEX invitation_until ON invitation (until);
