-- Puts dead letters back to the end of their queues, or drops them. ARGV[4]: '1' to put back; then the numbers; then the
-- limits of letters.lua. Returns how many there were.
local found = {}
for i = 5, #ARGV - 2 do
  local letter = redis.call('HGET', LETTERS, ARGV[i])
  if letter then
    found[#found + 1] = ARGV[i]
    if ARGV[4] == '1' then
      local head, raw = string.match(letter, '^([^\n]*)\n(.*)$')
      head = cjson.decode(head)
      redis.call('LPUSH', list_of(head[1], head[2]), raw)
    end
  end
end
return drop_letters(found)
