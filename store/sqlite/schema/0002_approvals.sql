-- Who approved a contact in advance, found by the contact: there are few.
CREATE INDEX roster_approved ON roster_item (contact) WHERE state & 8;
