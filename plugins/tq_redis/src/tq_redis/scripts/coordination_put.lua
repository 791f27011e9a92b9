-- Keep a value, and list its key; those that have expired leave the list.
--
-- KEYS  value, list of values
-- ARGV  key, value, milliseconds to live ("inf": until it is deleted)

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
forget_expired(KEYS[2], now)
if ARGV[3] == 'inf' then
  redis.call('SET', KEYS[1], ARGV[2])
  redis.call('ZADD', KEYS[2], 'inf', ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  redis.call('ZADD', KEYS[2], string.format('%.0f', now + ARGV[3]), ARGV[1])
end
expire_with_the_last(KEYS[2])
return 1
