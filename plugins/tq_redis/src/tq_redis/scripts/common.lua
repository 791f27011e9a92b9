-- What the scripts of the broker share. Every script gets
--   KEYS: the hash of what is held, the set of when it was taken, the lock of the one who gives it back;
--   ARGV: the prefix of all keys, the separator of priority steps, the visibility time-out in seconds, then its own.
-- Times are Unix seconds of the server's clock. Envelopes are moved as they are and never encoded again: cjson would
-- turn [] into {} and lose digits.

local PREFIX, SEP, VISIBLE = ARGV[1], ARGV[2], tonumber(ARGV[3])
local UNACKED, INDEX, MUTEX = KEYS[1], KEYS[2], KEYS[3]
local ATTEMPTS = PREFIX .. 'tq:attempts'
local CONSUMERS = PREFIX .. 'tq:consumers'
local NAMES = PREFIX .. 'tq:names'
local PAUSED = PREFIX .. 'tq:paused'
local SERVED = PREFIX .. 'tq:served'

-- Lua passes at most some 8,000 values to one call.
local MOST = 1000

-- Seconds a delivery is remembered after the last return of any message.
local REMEMBERED = 604800

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function exact(time)
  return string.format('%.6f', time)
end

local function call_many(command, key, values)
  for first = 1, #values, MOST do
    redis.call(command, key, unpack(values, first, math.min(first + MOST - 1, #values)))
  end
end

local function get_many(key, fields)
  local found = {}
  for first = 1, #fields, MOST do
    local some = redis.call('HMGET', key, unpack(fields, first, math.min(first + MOST - 1, #fields)))
    for i = 1, #some do found[#found + 1] = some[i] end
  end
  return found
end

local function list_of(queue, step)
  if step == '0' then return PREFIX .. queue end
  return PREFIX .. queue .. SEP .. step
end

local function held_by(fence)
  return PREFIX .. 'tq:held:' .. fence
end

local function orphans_of(queue)
  return PREFIX .. 'tq:orphans:' .. queue
end

local function due_of(queue)
  return PREFIX .. 'tq:due:' .. queue
end

local function wake(queue)
  redis.call('PUBLISH', PREFIX .. 'tq:wake:' .. queue, '')
end

-- What stands behind the envelope in `unacked`: no exchange, and the queue as routing key, so that a peer of kombu's
-- puts it back into this very queue.
local function tail_of(queue)
  return ',"",' .. cjson.encode(queue) .. ']'
end

local function wrapped(raw, queue)
  return '[' .. raw .. tail_of(queue)
end

local function unwrapped(value, queue)
  return string.sub(value, 2, -(#tail_of(queue) + 1))
end

-- A held message is noted as state, number of its reception, and an ending of step and queue: 'H17:0:celery'. The states are H held,
-- B begun, O taken as an orphan.
local function ending_of(step, queue)
  return ':' .. step .. ':' .. queue
end

local function noted(value)
  local state, number, step, queue = string.match(value, '^(%u)(%d+):(%d+):(.*)$')
  return {state = state, number = tonumber(number), step = step, queue = queue}
end

local function count(tag)
  redis.call('HINCRBY', ATTEMPTS, tag, 1)
  redis.call('EXPIRE', ATTEMPTS, REMEMBERED)
end

local function forget(tags)
  if #tags == 0 then return end
  call_many('HDEL', UNACKED, tags)
  call_many('ZREM', INDEX, tags)
end

local function forget_attempts(tags)
  if #tags > 0 and redis.call('EXISTS', ATTEMPTS) == 1 then call_many('HDEL', ATTEMPTS, tags) end
end

-- Seconds after its due time at which a waiting message counts as left behind. Whoever serves its queue has taken it by
-- then, so that it is not mistaken for one that a dead consumer held.
local LEFT_BEHIND = 5

-- Puts a message that is in `unacked` where it waits for its due time. A peer of kombu's, which knows nothing of this,
-- finds it by the time it is scored with, should all of ours be gone.
local function park(tag, queue, step, due)
  redis.call('ZADD', INDEX, exact(due - VISIBLE + LEFT_BEHIND), tag)
  local key, member = due_of(queue), step .. ':' .. tag
  redis.call('ZADD', key, exact(due), member)
  if redis.call('ZRANGE', key, 0, 0)[1] == member then wake(queue) end
end

-- Puts an envelope at the head of a list; false where somebody keeps something else under the list's key.
local function pushed(list, raw)
  return type(redis.pcall('RPUSH', list, raw)) == 'number'
end

-- Seconds after which a message is tried again whose list could not take it.
local OBSTRUCTED = 5

-- Moves due messages to the head of their lists; they have waited since they were published.
local function ripen(queue, time)
  local key = due_of(queue)
  local ripe = redis.call('ZRANGEBYSCORE', key, '-inf', exact(time), 'LIMIT', 0, 100)
  if #ripe == 0 then return end
  local tags, done = {}, {}
  for i = #ripe, 1, -1 do
    local step, tag = string.match(ripe[i], '^(%d+):(.*)$')
    local value = redis.call('HGET', UNACKED, tag)
    -- A peer of kombu's may have put it back already.
    if value and not pushed(list_of(queue, step), unwrapped(value, queue)) then
      park(tag, queue, step, time + OBSTRUCTED)
    else
      if value then tags[#tags + 1] = tag end
      done[#done + 1] = ripe[i]
    end
  end
  forget(tags)
  if #done > 0 then redis.call('ZREM', key, unpack(done)) end
end

-- Puts held messages back to the head of their lists in the order they were taken; begun ones become orphans.
-- notes: tag -> what noted() returns; counted: whether the delivery counts.
local function give_back(notes, counted)
  local tags = {}
  for tag in pairs(notes) do tags[#tags + 1] = tag end
  if #tags == 0 then return end
  table.sort(tags, function(a, b) return notes[a].number > notes[b].number end)
  local values, gone, bereft = get_many(UNACKED, tags), {}, {}
  for i = 1, #tags do
    local tag, held = tags[i], notes[tags[i]]
    local raw, back = values[i] and unwrapped(values[i], held.queue), true
    if raw and held.state == 'H' then
      back = pushed(list_of(held.queue, held.step), raw)
      if not back then park(tag, held.queue, held.step, now() + OBSTRUCTED) end
      if counted then count(tag) end
    elseif raw then
      redis.call('RPUSH', orphans_of(held.queue), raw)
      bereft[held.queue] = true
      count(tag)
    end
    if back then gone[#gone + 1] = tag end
  end
  forget(gone)
  for queue in pairs(bereft) do wake(queue) end
end

local function notes_of(fence)
  local entries, notes = redis.call('HGETALL', held_by(fence)), {}
  for i = 1, #entries, 2 do notes[entries[i]] = noted(entries[i + 1]) end
  return notes
end

-- Ends a consumer's registration and gives back what it held.
local function strike(fence, counted)
  give_back(notes_of(fence), counted)
  redis.call('DEL', held_by(fence))
  redis.call('ZREM', CONSUMERS, fence)
  redis.call('HDEL', NAMES, fence)
end

local function register(name, lease)
  -- The clock in microseconds, or one more than the last: a replica that takes over may not have heard of the last
  -- one, and no two consumers may have the same.
  local counter, time = PREFIX .. 'tq:fence', redis.call('TIME')
  local fence = math.max(time[1] * 1000000 + time[2], (tonumber(redis.call('GET', counter)) or 0) + 1)
  fence = string.format('%.0f', fence)
  redis.call('SET', counter, fence)
  redis.call('ZADD', CONSUMERS, exact(now() + lease), fence)
  redis.call('HSET', NAMES, fence, name)
  return fence
end
