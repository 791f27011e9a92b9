-- Dead letters: numbered, their text by number in a hash, their numbers by the time of burial in a sorted set.
-- A letter is a JSON list [queue, step, reason, traceback, time, deliveries], a line feed, and the envelope as it was.
-- The last two of ARGV are the most letters and the seconds they are kept.

local DEAD = PREFIX .. 'tq:dead'
local LETTERS = PREFIX .. 'tq:dead:letters'
local KEPT, LETTER_EXPIRES = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])

local function drop_letters(numbers)
  if #numbers == 0 then return 0 end
  call_many('HDEL', LETTERS, numbers)
  call_many('ZREM', DEAD, numbers)
  return #numbers
end

local function expire_letters(time)
  drop_letters(redis.call('ZRANGEBYSCORE', DEAD, '-inf', exact(time - LETTER_EXPIRES), 'LIMIT', 0, MOST))
  local excess = redis.call('ZCARD', DEAD) - KEPT
  if excess > 0 then drop_letters(redis.call('ZRANGE', DEAD, 0, math.min(excess, MOST) - 1)) end
end

local function bury(queue, step, reason, traceback, deliveries, raw)
  local time = now()
  -- Padded, because letters of one moment are ordered by their text.
  local number = string.format('%012d', redis.call('INCR', PREFIX .. 'tq:dead:number'))
  local head = cjson.encode({queue, step, reason, traceback, exact(time), deliveries})
  redis.call('HSET', LETTERS, number, head .. '\n' .. raw)
  redis.call('ZADD', DEAD, exact(time), number)
  expire_letters(time)
  return number
end
