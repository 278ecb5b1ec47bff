-- Which account an event is about, where an account of the same name was made
-- since: the numbers of the event of its creation and of its newest event. Of
-- accounts from before these columns they are 0: all events to come are newer.
ALTER TABLE account ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN event INTEGER NOT NULL DEFAULT 0;

-- Whose rosters a deletion has changed, and how things were there before it, for
-- servers that are to tell them. Goes with its event.
CREATE TABLE event_contact (
    event   INTEGER NOT NULL REFERENCES account_event (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    state   INTEGER NOT NULL, -- as in roster_item; 16: a request was pending
    PRIMARY KEY (event, contact)
) WITHOUT ROWID;
