-- Ends a consumer and gives back what it held. ARGV[4]: fence; ARGV[5]: '1' when these deliveries count.
strike(ARGV[4], ARGV[5] == '1')
return redis.status_reply('OK')
