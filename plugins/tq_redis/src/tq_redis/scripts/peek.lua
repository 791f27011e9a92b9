-- Looks at the next messages of a queue. ARGV[4]: its name; ARGV[5]: how many; then the steps.
-- Returns two lists: the ready envelopes, and (envelope, due) of the parked.
local queue, wanted = ARGV[4], tonumber(ARGV[5])
local ready, parked = {}, {}
local function look(list)
  if #ready >= wanted then return end
  local found = redis.call('LRANGE', list, -(wanted - #ready), -1)
  for i = #found, 1, -1 do ready[#ready + 1] = found[i] end
end
look(orphans_of(queue))
for i = 6, #ARGV do look(list_of(queue, ARGV[i])) end
if #ready < wanted then
  local found = redis.call('ZRANGE', due_of(queue), 0, wanted - #ready - 1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local value = redis.call('HGET', UNACKED, string.match(found[i], ':(.*)$'))
    if value then
      parked[#parked + 1] = unwrapped(value, queue)
      parked[#parked + 1] = found[i + 1]
    end
  end
end
return {ready, parked}
