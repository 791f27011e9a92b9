-- Give up a lock that one holds.
--
-- KEYS  lock
-- ARGV  owner
-- Returns 1, or 0 when it is not held by the owner.

local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
