-- Appends a batch to the stream of a node, once and in order, whatever was lost or repeated.
-- KEYS: the stream, and a hash with, for each sending run: s<run> -> number of its last batch
-- in the stream, a<run> -> number of its last batch that was handled; and with the field
-- closed, if the node is dead and its stream is taken over.
-- ARGV: run, number of the batch or 0 for none, data, lowest number that the sender still has
-- Returns whether the stream is closed, and the last numbers in the stream (-1 for none) and
-- handled.
local stream, state, run, number, data, base = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local last = tonumber(redis.call('HGET', state, 's' .. run) or '-1')
local handled = tonumber(redis.call('HGET', state, 'a' .. run) or '0')
if redis.call('HEXISTS', state, 'closed') == 1 then return { 1, last, handled } end
-- Those before base were handled, even if the data that says so was lost.
if number > 0 and number > last and (number == last + 1 or number == base) then
  redis.call('XADD', stream, '*', 'b', data)
  redis.call('HSET', state, 's' .. run, number)
  last = number
end
return { 0, last, handled }
