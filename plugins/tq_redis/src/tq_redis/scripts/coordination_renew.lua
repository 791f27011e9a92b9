-- Prolong a lock that one holds.
--
-- KEYS  lock
-- ARGV  owner, milliseconds
-- Returns 1, or 0 when it is not held by the owner.

local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
