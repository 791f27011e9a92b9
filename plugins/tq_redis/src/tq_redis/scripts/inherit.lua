-- Hands all that a consumer held to a new registration, and fences the old one. ARGV[4]: its name; ARGV[5]: lease;
-- ARGV[6]: name of the new one. Returns the new fence.
local names, old = redis.call('HGETALL', NAMES), {}
for i = 1, #names, 2 do
  if names[i + 1] == ARGV[4] then old[#old + 1] = names[i] end
end
local heir = register(ARGV[6], tonumber(ARGV[5]))
for i = 1, #old do
  local entries = redis.call('HGETALL', held_by(old[i]))
  call_many('HSET', held_by(heir), entries)
  redis.call('DEL', held_by(old[i]))
  redis.call('ZREM', CONSUMERS, old[i])
  redis.call('HDEL', NAMES, old[i])
end
return heir
