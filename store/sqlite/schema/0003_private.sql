-- The names of an account's values in private storage were kept apart and could
-- miss some; the values themselves are counted now.
DELETE FROM blob WHERE kind = 'jabber:iq:private' AND key = '';
