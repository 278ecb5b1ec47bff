-- The nodes of the cluster: who is alive, and who cleans up after the dead.
-- KEYS[1]: a hash with the fields id (the last epoch), gen (a new one if the data was lost), shared
-- (what all nodes must have in common), database (that they use), seen and grace (see below), and for each node its epoch -> "expiry dead claimant claimexpiry name",
-- and "domains " and its epoch -> a hash of those that it serves. Times are in milliseconds, by the clock of this server.
-- ARGV: operation, name, epoch, lease in ms, gen, epoch of a dead node or the newest that the caller knows (to join and renew), shared, database, domains
local key, op, name, epoch, lease, gen, target = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

-- A server without memory (maxmemory) refuses a command that may need some, unless the script has
-- written something before. Without leases nothing would be handled, which frees memory.
redis.call('HDEL', key, '')

-- If no node has renewed its lease for half of its time, twice as long as they wait, this server was
-- out of reach for all: they get a lease's time to come back before one of them is dead. It must not
-- be longer: when the last lease to be renewed is over, others have been for a while.
local seen = tonumber(redis.call('HGET', key, 'seen') or '0')
local grace = tonumber(redis.call('HGET', key, 'grace') or '0')
if op == 'join' or op == 'renew' then
  if now - seen > lease / 2 then
    grace = now + lease
    redis.call('HSET', key, 'grace', string.format('%.0f', grace))
  end
  redis.call('HSET', key, 'seen', string.format('%.0f', now))
  -- If the data were lost, the newest node may not come back: the others still learn that it is dead.
  if tonumber(target) > tonumber(redis.call('HGET', key, 'id') or '0') then redis.call('HSET', key, 'id', target) end
end

local function get(e)
  local v = redis.call('HGET', key, e)
  if not v then return nil end
  local expiry, dead, claimant, claimed, nm = string.match(v, '^(%S+) (%S+) (%S+) (%S+) (.*)$')
  return { expiry = tonumber(expiry), dead = dead == '1', claimant = claimant, claimed = tonumber(claimed), name = nm }
end

local function put(e, n)
  redis.call('HSET', key, e, string.format('%.0f %s %s %.0f ', n.expiry, n.dead and '1' or '0', n.claimant, n.claimed) .. n.name)
end

-- The clock is behind that of the server before, whose replica has taken over, say. What was set by
-- the other must not last longer than it would have there.
if (op == 'join' or op == 'renew') and seen > now then
  local latest = now + lease
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.match(all[i], '^%d+$') then
      local n = get(all[i])
      n.expiry, n.claimed = math.min(n.expiry, latest), math.min(n.claimed, latest)
      put(all[i], n)
    end
  end
  grace = math.min(grace, latest)
  redis.call('HSET', key, 'grace', string.format('%.0f', grace))
end

-- How long another node keeps the name, 0 if none has it.
local function held()
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.match(all[i], '^%d+$') and all[i] ~= epoch then
      local n = get(all[i])
      if n.name == name and not n.dead and n.expiry > now then return n.expiry - now end
    end
  end
  return 0
end

-- Whether any node is alive.
local function inUse()
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if string.match(all[i], '^%d+$') then
      local n = get(all[i])
      if not n.dead and n.expiry > now then return true end
    end
  end
  return false
end

local function result(status, left)
  return { status, left or 0, string.format('%.0f', now), redis.call('HGET', key, 'id') or '0', redis.call('HGET', key, 'gen') or '', redis.call('HGETALL', key) }
end

-- Notes which database and which domains a node has.
local function note(e)
  if ARGV[8] ~= '' then redis.call('HSETNX', key, 'database', ARGV[8]) end
  if ARGV[9] ~= '' then redis.call('HSET', key, 'domains ' .. e, ARGV[9]) end
end

local fresh = { expiry = now + lease, dead = false, claimant = '0', claimed = 0, name = name }

if op == 'join' then
  local left = held()
  if left > 0 then return result('held', left) end
  local shared = redis.call('HGET', key, 'shared')
  if shared and shared ~= ARGV[7] and inUse() then return result('differs') end
  local database = redis.call('HGET', key, 'database')
  if database and ARGV[8] ~= '' and database ~= ARGV[8] then
    if inUse() then return result('elsewhere') end
    redis.call('HDEL', key, 'database')
  end
  redis.call('HSET', key, 'shared', ARGV[7])
  redis.call('HSETNX', key, 'gen', gen)
  local id = math.max(tonumber(redis.call('HGET', key, 'id') or '0') + 1, now)
  redis.call('HSET', key, 'id', string.format('%.0f', id))
  epoch = string.format('%.0f', id)
  put(epoch, fresh)
  note(epoch)
  return result(epoch)
elseif op == 'renew' then
  local n = get(epoch)
  if n then
    -- Once its lease is over, another one may have taken its name before anybody has claimed it.
    if n.dead or n.expiry <= now and held() > 0 then return result('dead') end
    n.expiry = now + lease
    put(epoch, n)
    note(epoch)
    return result('ok')
  end
  if redis.call('HGET', key, 'gen') == gen then return result('dead') end
  local left = held()
  if left > 0 then return result('held', left) end
  redis.call('HSETNX', key, 'gen', string.format('%.0f-%s', now, epoch)) -- never one that a node may know
  redis.call('HSETNX', key, 'shared', ARGV[7])
  redis.call('HSET', key, 'id', string.format('%.0f', math.max(tonumber(redis.call('HGET', key, 'id') or '0'), tonumber(epoch))))
  put(epoch, fresh)
  note(epoch)
  return result('lost')
elseif op == 'leave' then
  local n = get(epoch)
  if n and not n.dead then
    n.expiry = now
    put(epoch, n)
  end
  return result('ok')
elseif op == 'claim' then
  local n = get(target)
  if not n or (not n.dead and (n.expiry > now or grace > now)) then return result('no') end
  if n.claimant ~= epoch and n.claimed > now then return result('no') end
  local status = 'first'
  if n.claimant == epoch then status = 'again' elseif n.claimant ~= '0' then status = 'taken' end
  n.dead, n.claimant, n.claimed = true, epoch, now + lease
  put(target, n)
  return result(status)
elseif op == 'finish' then
  local n = get(target)
  if n and n.claimant == epoch then redis.call('HDEL', key, target, 'domains ' .. target) end
  return result('ok')
end
return redis.error_reply('ERR unknown operation')
