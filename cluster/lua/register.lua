-- Enters a resource in the directory.
-- KEYS[1]: the hash of the account: resource -> flags (1 byte), priority (1 byte), epoch (6 bytes)
-- ARGV: epoch, resource, flags and priority of a new entry, '1' to replace one of another
-- node or the epoch of the only node of which one may be replaced, the limit of resources (0 for none), how many the account has on this node, and the
-- epochs of dead nodes, 6 bytes each
-- Returns 'ok', 'taken' or 'full', what the resource was before, and then resource and value
-- of all other entries of other nodes.
local key, epoch, resource, value = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local limit, here, dead = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local function isDead(e)
  for i = 1, #dead, 6 do
    if string.sub(dead, i, i + 5) == e then return true end
  end
  return false
end

local all = redis.call('HGETALL', key)
local result = { 'ok', '' }
for i = 1, #all, 2 do
  local e = string.sub(all[i + 1], 3)
  if all[i] == resource then
    if not isDead(e) then result[2] = all[i + 1] end
  elseif e ~= epoch and not isDead(e) then -- the cleanup removes those of dead nodes, and reports them
    result[#result + 1] = all[i]
    result[#result + 1] = all[i + 1]
  end
end
local before = string.sub(result[2], 3)
if before ~= '' and before ~= epoch and ARGV[4] ~= '1' and ARGV[4] ~= before then
  result[1] = 'taken'
elseif limit > 0 and (#result - 2) / 2 + here + 1 > limit then
  result[1] = 'full'
else
  if before ~= '' and (before == epoch or before == ARGV[4]) then
    -- It is registered again, or has moved. It stays available; the upper bits of the flags
    -- are new.
    local old, new = string.byte(result[2], 1), string.byte(value, 1)
    value = string.char(new - new % 2 + old % 2) .. string.sub(result[2], 2, 2)
  end
  redis.call('HSET', key, resource, value .. epoch)
end
return result
