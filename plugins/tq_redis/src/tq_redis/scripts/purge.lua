-- Empties a queue. ARGV[4]: its name; then the steps. Returns how many messages there were.
local queue, dropped = ARGV[4], 0
local lists = {orphans_of(queue)}
for i = 5, #ARGV do lists[#lists + 1] = list_of(queue, ARGV[i]) end
for i = 1, #lists do
  dropped = dropped + redis.call('LLEN', lists[i])
  redis.call('DEL', lists[i])
end
local members, tags = redis.call('ZRANGE', due_of(queue), 0, -1), {}
for i = 1, #members do tags[i] = string.match(members[i], ':(.*)$') end
forget(tags)
redis.call('DEL', due_of(queue))
return dropped + #tags
