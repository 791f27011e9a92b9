-- Registers a consumer. ARGV[4]: its name; ARGV[5]: its lease; then the queues it serves. Returns its fence.
local time = now()
for i = 6, #ARGV do
  redis.call('ZADD', SERVED, exact(time), ARGV[i])
  redis.call('SADD', PREFIX .. 'tq:queues', ARGV[i])
  -- As Celery binds a queue of its own, so that its tools see ours; the second set keeps Celery 5.7 from sweeping it away.
  local binding = ARGV[i] .. SEP .. SEP .. ARGV[i]
  redis.call('SADD', PREFIX .. '_kombu.binding.' .. ARGV[i], binding)
  redis.call('SADD', PREFIX .. '_kombu.binding_permanent.' .. ARGV[i], binding)
end
return register(ARGV[4], tonumber(ARGV[5]))
