-- Deletes items and blocked addresses whose address is too long for PostgreSQL, to which the
-- database may be copied: store.MaxKey. Clients read the rosters again.
UPDATE account SET roster_version = roster_version + 1, roster_floor = roster_version + 1
    WHERE id IN (SELECT account FROM roster_item WHERE length(CAST(contact AS BLOB)) > 2500);
DELETE FROM roster_item WHERE length(CAST(contact AS BLOB)) > 2500;
DELETE FROM roster_removed WHERE length(CAST(contact AS BLOB)) > 2500;
DELETE FROM blob WHERE id IN (SELECT id FROM blob WHERE length(CAST(key AS BLOB)) > 2500); -- reads the index only
