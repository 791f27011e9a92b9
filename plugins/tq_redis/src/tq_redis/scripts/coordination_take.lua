-- Take from a token bucket.
--
-- KEYS  bucket: a hash of tokens and the time (seconds) they were counted at
-- ARGV  tokens a second, most tokens, tokens wanted
-- Returns "0" when they were taken, otherwise seconds until they would be there, "inf" when they never are.

local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1000000
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local there = burst
if kept[1] then
  there = math.min(burst, kept[1] + math.max(0, now - kept[2]) * rate)
end
-- What was computed by multiplying and adding may miss by a hair.
if there + 1e-9 < wanted then
  if rate <= 0 or wanted > burst then
    return 'inf'
  end
  return string.format('%.6f', math.max((wanted - there) / rate, 0.000001))
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', math.max(0, there - wanted)), 'at', string.format('%.6f', now))
-- Once full again, a forgotten bucket is as good as a kept one.
local full = rate > 0 and burst / rate + 1 or 86400
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.min(math.ceil(full * 1000), 2 ^ 50)))
return '0'
