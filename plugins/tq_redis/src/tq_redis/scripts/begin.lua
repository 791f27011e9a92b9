-- Notes that messages are being run. ARGV[4]: fence; then their tags.
local held = held_by(ARGV[4])
local tags, begun = {unpack(ARGV, 5)}, {}
local notes = redis.call('HMGET', held, unpack(tags))
for i = 1, #tags do
  if notes[i] and string.sub(notes[i], 1, 1) == 'H' then
    begun[#begun + 1] = tags[i]
    begun[#begun + 1] = 'B' .. string.sub(notes[i], 2)
  end
end
if #begun > 0 then redis.call('HSET', held, unpack(begun)) end
return #begun / 2
