-- Lists what a consumer holds. ARGV[4]: fence.
-- Returns for each message envelope, tag, earlier deliveries, queue, state.
local notes, tags = notes_of(ARGV[4]), {}
for tag in pairs(notes) do tags[#tags + 1] = tag end
table.sort(tags, function(a, b) return notes[a].number < notes[b].number end)
local values, reply = get_many(UNACKED, tags), {}
for i = 1, #tags do
  local held, at = notes[tags[i]], #reply
  if values[i] then
    reply[at + 1], reply[at + 2] = unwrapped(values[i], held.queue), tags[i]
    reply[at + 3] = tonumber(redis.call('HGET', ATTEMPTS, tags[i]) or 0)
    reply[at + 4], reply[at + 5] = held.queue, held.state
  end
end
return reply
