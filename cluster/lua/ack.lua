-- Removes handled entries from the stream of a node, and notes which batches they were.
-- KEYS: the stream and its state, as in send.lua
-- ARGV: ID of the first entry that is kept, '' to keep all, then pairs of run and number
-- Returns 1 if the stream is closed.
if redis.call('HEXISTS', KEYS[2], 'closed') == 1 then return 1 end
if ARGV[1] ~= '' then
  redis.call('XTRIM', KEYS[1], 'MINID', ARGV[1])
else
  redis.call('HDEL', KEYS[2], '') -- see nodes.lua
end
for i = 2, #ARGV, 2 do
  local field = 'a' .. ARGV[i]
  -- Requests on two connections may overtake each other, or be repeated after others.
  if tonumber(ARGV[i + 1]) > tonumber(redis.call('HGET', KEYS[2], field) or '0') then
    redis.call('HSET', KEYS[2], field, ARGV[i + 1])
  end
end
return 0
