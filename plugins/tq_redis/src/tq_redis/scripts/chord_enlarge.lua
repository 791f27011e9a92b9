-- Let a chord wait for more parts.
--
-- KEYS  .t (parts beyond the size), .c (claim)
-- ARGV  how many, milliseconds to live (0: for ever)

if redis.call('GET', KEYS[2]) == 'done' then
  return 0
end
redis.call('INCRBY', KEYS[1], ARGV[1])
if ARGV[2] ~= '0' then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 1
