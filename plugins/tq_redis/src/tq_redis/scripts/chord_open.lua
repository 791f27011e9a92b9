-- Say how many parts a chord waits for; one that is closed stays closed.
--
-- KEYS  .s (size), .c (claim)
-- ARGV  size, milliseconds to live (0: for ever)

if redis.call('GET', KEYS[2]) == 'done' then
  return 0
end
if ARGV[2] == '0' then
  redis.call('SET', KEYS[1], ARGV[1])
else
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return 1
