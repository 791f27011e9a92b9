-- Add to a counter.
--
-- KEYS  counter
-- ARGV  how much, milliseconds to live from now on
-- Returns the new value.

local total = redis.call('INCRBY', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return total
