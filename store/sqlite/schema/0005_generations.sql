-- The IDs of the events of an account's creation and of its newest event. They show
-- whether an event is about this account or about another one of the same name. They
-- are 0 for accounts that are older than these columns.
ALTER TABLE account ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN event INTEGER NOT NULL DEFAULT 0;

-- The accounts whose rosters a deletion changed, with the former state, for servers
-- that have to notify them. Deleted together with the event.
CREATE TABLE event_contact (
    event   INTEGER NOT NULL REFERENCES account_event (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    state   INTEGER NOT NULL, -- as in roster_item; 16: a request was pending
    PRIMARY KEY (event, contact)
) WITHOUT ROWID;
