-- Moves waiting messages to the end of another queue, the next ones first. ARGV[4], ARGV[5]: from and to; ARGV[6]: how
-- many at most; then the steps. Returns how many; fewer than there are when they are large.
local source, target, most = ARGV[4], ARGV[5], tonumber(ARGV[6])
local moved, bytes = 0, 0

-- The server does nothing else meanwhile.
local MOST_BYTES = 8388608

local function may_go_on()
  return moved < most and bytes < MOST_BYTES
end

local function pour(from, to)
  while may_go_on() do
    local raw = redis.call('LMOVE', from, to, 'RIGHT', 'LEFT')
    if not raw then return end
    moved, bytes = moved + 1, bytes + #raw
  end
end

pour(orphans_of(source), orphans_of(target))
if moved > 0 then wake(target) end
for i = 7, #ARGV do pour(list_of(source, ARGV[i]), list_of(target, ARGV[i])) end

local from, to = due_of(source), due_of(target)
local first = redis.call('ZRANGE', to, 0, 0)[1]
while may_go_on() do
  local head = redis.call('ZRANGE', from, 0, 0, 'WITHSCORES')
  if not head[1] then break end
  local tag = string.match(head[1], ':(.*)$')
  local value = redis.call('HGET', UNACKED, tag)
  -- A peer of kombu's may have put it back already.
  if value then
    -- The queue stands behind the envelope, too: whoever restores the message goes by that.
    redis.call('HSET', UNACKED, tag, wrapped(unwrapped(value, source), target))
    redis.call('ZADD', to, head[2], head[1])
    moved, bytes = moved + 1, bytes + #value
  end
  redis.call('ZREM', from, head[1])
end
if redis.call('ZRANGE', to, 0, 0)[1] ~= first then wake(target) end
if moved > 0 then redis.call('SADD', PREFIX .. 'tq:queues', target) end
return moved
