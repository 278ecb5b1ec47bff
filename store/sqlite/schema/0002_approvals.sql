-- Finds the few accounts that have pre-approved a contact.
CREATE INDEX roster_approved ON roster_item (contact) WHERE state & 8;
