-- The list of values: a sorted set of their keys by the time they expire (milliseconds). It lives as long as they do.

local function forget_expired(list, now)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', string.format('%.0f', now - 1))
end

local function expire_with_the_last(list)
  local last = redis.call('ZRANGE', list, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', list)
  elseif last then
    redis.call('PEXPIREAT', list, string.format('%.0f', tonumber(last) + 1))
  end
end
