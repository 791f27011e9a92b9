-- Counts a queue. ARGV[4]: its name; then the steps. Returns ready, parked, held, and the envelope's end of the heads.
local ready, heads = 0, {}
for i = 5, #ARGV do
  local list = list_of(ARGV[4], ARGV[i])
  ready = ready + redis.call('LLEN', list)
  heads[#heads + 1] = string.sub(redis.call('LINDEX', list, -1) or '', -120)
end
ready = ready + redis.call('LLEN', orphans_of(ARGV[4]))
local held, all = 0, redis.call('ZRANGE', CONSUMERS, 0, -1)
for i = 1, #all do
  local values = redis.call('HVALS', held_by(all[i]))
  for j = 1, #values do
    if noted(values[j]).queue == ARGV[4] then held = held + 1 end
  end
end
return {ready, redis.call('ZCARD', due_of(ARGV[4])), held, heads}
