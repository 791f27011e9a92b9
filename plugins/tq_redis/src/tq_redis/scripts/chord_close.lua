-- Drop a chord's parts, and remember that its body was sent.
--
-- KEYS  .j, .t, .s, .d, .c
-- ARGV  milliseconds to remember it

redis.call('DEL', KEYS[1], KEYS[2], KEYS[3], KEYS[4])
redis.call('SET', KEYS[5], 'done', 'PX', ARGV[1])
return 1
