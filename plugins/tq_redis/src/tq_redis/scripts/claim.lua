-- Takes up to so many messages in one step, the most urgent first.
-- ARGV[4..6]: fence, most messages, number of the first reception; ARGV[7]: how many steps; then the steps, then the
-- queues in the order of their turn.
-- Returns nothing when the consumer was fenced, else: seconds to the earliest due time (or ''), the names of the queues
-- that are shut, by a pause or because something else than a list stands where one belongs; and, when it took any
-- messages, their envelopes, their tags, how often each was delivered before (empty: none of them was), and the runs of
-- messages that came from one list: for each its length, the place of its queue among those given, state.

local fence, limit, number = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local first_queue = 8 + tonumber(ARGV[7])

if not redis.call('ZSCORE', CONSUMERS, fence) then return false end

local time, earliest = now(), nil
local paused, open = {}, {}
local any_paused = redis.call('EXISTS', PAUSED) == 1
for i = first_queue, #ARGV do
  local queue = ARGV[i]
  if any_paused and redis.call('SISMEMBER', PAUSED, queue) == 1 then
    paused[#paused + 1] = queue
  else
    open[#open + 1] = i
    local first = redis.call('ZRANGE', due_of(queue), 0, 0, 'WITHSCORES')
    if first[2] and tonumber(first[2]) <= time then
      ripen(queue, time)
      first = redis.call('ZRANGE', due_of(queue), 0, 0, 'WITHSCORES')
    end
    if first[2] and (not earliest or tonumber(first[2]) < earliest) then earliest = tonumber(first[2]) end
  end
end

local raws, total, runs = {}, 0, {}
local obstructed = {}
local function take(key, place, step, state)
  if total >= limit then return end
  -- An error would end the script here, and lose what it has taken from other lists.
  local taken = redis.pcall('RPOP', key, limit - total)
  if not taken then return end
  if taken.err then
    if not obstructed[place] then paused[#paused + 1] = ARGV[place] end
    obstructed[place] = true
    return
  end
  for i = 1, #taken do raws[total + i] = taken[i] end
  runs[#runs + 1] = {first = total + 1, last = total + #taken, place = place, step = step, state = state}
  total = total + #taken
end

for i = 1, #open do take(orphans_of(ARGV[open[i]]), open[i], '0', 'O') end
for s = 8, first_queue - 1 do
  for i = 1, #open do take(list_of(ARGV[open[i]], ARGV[s]), open[i], ARGV[s], 'H') end
end

local reply = {earliest and exact(earliest - time) or '', paused}
if total == 0 then return reply end

-- kombu and tq write the tag last. The same tag may come twice (kombu writes one into every copy of a message that a
-- topic exchange spreads), or not at all; such a message gets one made up for this hand-over.
local function tag_of(raw)
  local tag = string.match(raw, '"delivery_tag": ?"([%w%-_%.]+)"}}$', -120)
  if tag then return tag end
  local at = string.find(raw, '"delivery_tag"', 1, true)
  return at and string.match(raw, '^"delivery_tag":%s*"([%w%-_%.]+)"', at)
end

local tags, seen = {}, {}
for i = 1, total do
  local tag = tag_of(raws[i])
  if not tag or seen[tag] then tag = 'tq-' .. fence .. '-' .. string.format('%d', number + i) end
  tags[i], seen[tag] = tag, true
end
local scores = redis.call('ZMSCORE', INDEX, unpack(tags))
for i = 1, total do
  if scores[i] then tags[i] = 'tq-' .. fence .. '-' .. string.format('%d', number + i) end
end

local attempts = {}
if redis.call('EXISTS', ATTEMPTS) == 1 then
  attempts = redis.call('HMGET', ATTEMPTS, unpack(tags))
  for i = 1, total do attempts[i] = tonumber(attempts[i] or 0) end
end

-- What does not change within a run is made once for it: this loop is most of what a claim costs the server.
local held, unacked, index, score, told = {}, {}, {}, exact(time), {}
for r = 1, #runs do
  local run = runs[r]
  local queue = ARGV[run.place]
  local tail, ending = tail_of(queue), ending_of(run.step, queue)
  local state, n = run.state, 2 * run.first - 1
  for i = run.first, run.last do
    local tag = tags[i]
    held[n], held[n + 1] = tag, state .. string.format('%d', number + i) .. ending
    unacked[n], unacked[n + 1] = tag, '[' .. raws[i] .. tail
    index[n], index[n + 1] = score, tag
    n = n + 2
  end
  told[3 * r - 2], told[3 * r - 1], told[3 * r] = run.last - run.first + 1, run.place - first_queue, state
end
redis.call('HSET', held_by(fence), unpack(held))
redis.call('HSET', UNACKED, unpack(unacked))
redis.call('ZADD', INDEX, unpack(index))
return {reply[1], paused, raws, tags, attempts, told}
