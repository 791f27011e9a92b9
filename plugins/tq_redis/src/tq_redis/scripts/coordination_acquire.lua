-- Take a lock, or prolong one's own.
--
-- KEYS  lock, the newest token
-- ARGV  owner, milliseconds, milliseconds to remember the token
-- Returns the fencing token, or nil when somebody else holds the lock.

local held = redis.call('GET', KEYS[1])
if held then
  local token, owner = string.match(held, '^(%d+) (.*)$')
  if owner ~= ARGV[1] then
    return false
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  return token
end
-- The clock in microseconds, and never a number again: tokens grow even where the newest one was lost in a restart.
local now = redis.call('TIME')
local token = math.max(now[1] * 1000000 + now[2], (tonumber(redis.call('GET', KEYS[2])) or 0) + 1)
token = string.format('%.0f', token)
redis.call('SET', KEYS[2], token, 'PX', ARGV[3])
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
