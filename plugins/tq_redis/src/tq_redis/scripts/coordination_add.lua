-- Add to a set.
--
-- KEYS  set
-- ARGV  member, milliseconds to live from now on
-- Returns whether it was new (1 or 0), and the set's size.

local new = redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return {new, redis.call('SCARD', KEYS[1])}
