-- Record parts of one chord, and claim it once they are all there. Keys and values are Celery 5.7's; older peers
-- know only the first three and count the same parts.
--
-- KEYS  .j (parts), .t (parts beyond the size), .s (size), .d (ids that were counted), .c (claim)
-- ARGV  claimant, milliseconds its claim lasts, milliseconds to live (0: for ever), "1" where parts are ordered,
--       then for each part: task id, position, encoded part
-- Returns 1 when the chord is complete and claimed by the claimant.

local parts, beyond, size, counted, claim = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ordered = ARGV[4] == '1'

-- A peer before 5.7 leaves no trace in .d, but its part stands at the same position.
local function counted_by_a_peer(task_id, position)
  if ordered then
    for _, part in ipairs(redis.call('ZRANGEBYSCORE', parts, position, position)) do
      if string.find(string.sub(part, 1, #task_id + 64), task_id, 1, true) then
        return true
      end
    end
  end
  return false
end

local holder = redis.call('GET', claim)
if holder == 'done' then
  return 0
end
for i = 5, #ARGV, 3 do
  local task_id, position = ARGV[i], ARGV[i + 1]
  if redis.call('SADD', counted, task_id .. ':' .. position) == 1 and not counted_by_a_peer(task_id, position) then
    if ordered then
      redis.call('ZADD', parts, position, ARGV[i + 2])
    else
      redis.call('RPUSH', parts, ARGV[i + 2])
    end
  end
end
if ARGV[3] ~= '0' then
  for i = 1, 4 do
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end

local expected = redis.call('GET', size)
if not expected then
  return 0
end
local there = redis.call(ordered and 'ZCARD' or 'LLEN', parts)
if there < tonumber(expected) + tonumber(redis.call('GET', beyond) or 0) or (holder and holder ~= ARGV[1]) then
  return 0
end
redis.call('SET', claim, ARGV[1], 'PX', ARGV[2])
return 1
