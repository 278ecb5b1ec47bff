-- Removes a resource of a node, and returns its entry, or nil if the node has none.
-- KEYS[1]: the hash of the account; ARGV: epoch, resource
local v = redis.call('HGET', KEYS[1], ARGV[2])
if v and string.sub(v, 3) == ARGV[1] then
  redis.call('HDEL', KEYS[1], ARGV[2])
  return v
end
return false
