-- Keeps one consumer's lease alive, and gives back what dead ones held.
-- ARGV[4], ARGV[5]: fence and lease; ARGV[6]: '1' to renew, or '0' only to look at the others; ARGV[7]: seconds the lock
-- of those who give back lasts; ARGV[8]: how many steps; then the steps, then the queues the consumer serves.
-- Returns 0 when the consumer was fenced.

local fence, lease = ARGV[4], tonumber(ARGV[5])
local time = now()
local SWEPT = PREFIX .. 'tq:swept'

if not redis.call('ZSCORE', CONSUMERS, fence) then return 0 end

-- When nobody has looked for a while, or the clock has jumped, then it was the server that was away or everybody slept:
-- silence in that time proves nothing, and all leases start anew.
local swept = tonumber(redis.call('GET', SWEPT) or 0)
if swept > time or swept < time - math.max(1, lease / 2) then
  local all = redis.call('ZRANGE', CONSUMERS, 0, -1)
  for i = 1, #all do redis.call('ZADD', CONSUMERS, exact(time + lease), all[i]) end
end
redis.call('SET', SWEPT, exact(time), 'EX', 86400)

if ARGV[6] == '1' then
  redis.call('ZADD', CONSUMERS, exact(time + lease), fence)
  for i = 9 + tonumber(ARGV[8]), #ARGV do redis.call('ZADD', SERVED, exact(time), ARGV[i]) end
  redis.call('ZREMRANGEBYSCORE', SERVED, '-inf', exact(time - 2 * 86400))
  -- A peer of kombu's hands out again whatever was taken longer ago than its visibility time-out.
  local tags = redis.call('HKEYS', held_by(fence))
  if #tags > 0 then
    local oldest = redis.call('ZSCORE', INDEX, tags[1])
    if oldest and tonumber(oldest) < time - VISIBLE / 4 then
      for i = 1, #tags do redis.call('ZADD', INDEX, 'XX', exact(time), tags[i]) end
    end
  end
end

local dead = redis.call('ZRANGEBYSCORE', CONSUMERS, '-inf', exact(time))
for i = 1, #dead do
  if dead[i] ~= fence then strike(dead[i], true) end
end

local function split(text, separator)
  local fields, start = {}, 1
  while true do
    local from, to = string.find(text, separator, start, true)
    fields[#fields + 1] = string.sub(text, start, (from or 0) - 1)
    if not from then return fields end
    start = to + 1
  end
end

local function step_of(priority)
  local step = '0'
  for i = 9, 8 + tonumber(ARGV[8]) do
    if tonumber(ARGV[i]) <= priority then step = ARGV[i] end
  end
  return step
end

-- Tells whether a topic's binding takes a routing key: '*' is one word, '#' any number of them.
local function takes(bound, key)
  local pattern = string.gsub(bound, '[%^%$%(%)%%%.%[%]%+%-%?]', '%%%0')
  pattern = string.gsub(string.gsub(pattern, '%*', '[^.]+'), '#', '.*')
  return string.match(key, '^' .. pattern .. '$') ~= nil
end

local function queues_of(exchange, key)
  if exchange == '' then return {key} end
  local bindings, queues = redis.call('SMEMBERS', PREFIX .. '_kombu.binding.' .. exchange), {}
  for i = 1, #bindings do
    local bound, pattern, queue = unpack(split(bindings[i], SEP))
    if bound == key or (pattern ~= '' and takes(bound, key)) then queues[#queues + 1] = queue end
  end
  return queues
end

-- Tells whether the message waits for its due time, which has come: then nobody had taken it.
local function ripened(queue, tag)
  for i = 9, 8 + tonumber(ARGV[8]) do
    if redis.call('ZSCORE', due_of(queue), ARGV[i] .. ':' .. tag) then
      ripen(queue, time)
      return true
    end
  end
  return false
end

-- What a dead peer of kombu's left, by kombu's rule and under kombu's lock. What cannot be routed is left to kombu.
local function restore(tag)
  local value = redis.call('HGET', UNACKED, tag)
  local raw, exchange, key
  if value then
    raw, exchange, key = string.match(value, '^%[(.*), ?"([^"\\]*)", ?"([^"\\]*)"%]$')
    if not raw or (exchange == '' and ripened(key, tag)) then return end
    local queues = queues_of(exchange, key)
    if #queues == 0 then return end
    local priority = tonumber(string.match(raw, '"priority": ?(%d)[,}]', -400) or 0)
    for i = 1, #queues do
      if not pushed(list_of(queues[i], step_of(priority)), raw) then return end
    end
    count(tag)
  end
  forget({tag})
end

local stale = redis.call('ZREVRANGEBYSCORE', INDEX, exact(time - VISIBLE), '-inf', 'LIMIT', 0, MOST)
if #stale > 0 and redis.call('SET', MUTEX, 'tq-' .. fence, 'NX', 'EX', ARGV[7]) then
  for i = 1, #stale do restore(stale[i]) end
  redis.call('DEL', MUTEX)
end
return 1
