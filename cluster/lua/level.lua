-- Notes the highest level of a node's index, unless a higher one is noted.
-- KEYS[1]: a hash: epoch -> level; ARGV: epoch, level
redis.call('HDEL', KEYS[1], '') -- see nodes.lua
if tonumber(ARGV[2]) > tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0') then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return 0
