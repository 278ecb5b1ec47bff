-- A separate list of an account's values in private storage could be incomplete. The
-- values themselves are counted now.
DELETE FROM blob WHERE kind = 'jabber:iq:private' AND key = '';
