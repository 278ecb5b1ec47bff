-- Closes the stream of a dead node: nothing is added or acknowledged any more. Senders find
-- out for an hour.
-- KEYS: the stream and its state, as in send.lua
redis.call('HDEL', KEYS[2], '') -- see nodes.lua
redis.call('HSET', KEYS[2], 'closed', 1)
redis.call('EXPIRE', KEYS[2], 3600)
return 0
