-- Changes whether a resource is available, and its priority.
-- KEYS[1]: the hash of the account; ARGV: epoch, resource, 1 or 0, priority (1 byte)
local v = redis.call('HGET', KEYS[1], ARGV[2])
if v and string.sub(v, 3) == ARGV[1] then
  local flags = string.byte(v, 1)
  v = string.char(flags - flags % 2 + ARGV[3]) .. ARGV[4] .. ARGV[1]
  local r = redis.pcall('HSET', KEYS[1], ARGV[2], v)
  if type(r) == 'table' and r.err then
    redis.call('HDEL', KEYS[1], '') -- the memory is full: see nodes.lua
    redis.call('HSET', KEYS[1], ARGV[2], v)
  end
end
return 0
