-- Seconds a queue counts as served after the last sign of life of a tq consumer.
local SERVED_FOR = 86400

local function is_served(queue, time)
  local last = redis.call('ZSCORE', SERVED, queue)
  return last and tonumber(last) > time - SERVED_FOR
end

-- Publishes one message. It waits here for its due time only where tq consumers serve its queue: Celery's workers want
-- it at once and wait by themselves.
local function send(queue, step, tag, due, raw)
  local time = now()
  if due ~= '' and tonumber(due) > time and is_served(queue, time) then
    redis.call('HSET', UNACKED, tag, wrapped(raw, queue))
    park(tag, queue, step, tonumber(due))
  elseif type(redis.pcall('LPUSH', list_of(queue, step), raw)) ~= 'number' then
    -- Something else stands there. An error would end the script after it has ended what this message follows from.
    redis.call('HSET', UNACKED, tag, wrapped(raw, queue))
    park(tag, queue, step, time + OBSTRUCTED)
  end
end
