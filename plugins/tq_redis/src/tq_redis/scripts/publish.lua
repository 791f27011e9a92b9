-- Publishes messages that have due times. ARGV[4…]: (queue, step, tag, due, envelope) for each.
for i = 4, #ARGV, 5 do send(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) end
return redis.status_reply('OK')
