-- Delete a value.
--
-- KEYS  value, list of values
-- ARGV  key
-- Returns 1, or 0 when there was none.

redis.call('ZREM', KEYS[2], ARGV[1])
expire_with_the_last(KEYS[2])
return redis.call('DEL', KEYS[1])
