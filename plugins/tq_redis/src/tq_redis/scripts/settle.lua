-- Ends deliveries and publishes what follows from them, all in one step.
-- ARGV[4]: fence; then six
-- groups, each headed by the number of its members: tags to ack; tags to requeue and count; tags to requeue uncounted;
-- (tag, due) to park; (tag, reason, traceback) to bury; (queue, step, tag, due or '', envelope) to publish. At last the
-- most dead letters and the seconds they are kept.
-- Returns the tags that were not held; of a repeated tag only the first ending counts.

local fence = ARGV[4]
local HELD = held_by(fence)
local at = 4
local function next_argument()
  at = at + 1
  return ARGV[at]
end

local lost = {}
local function still_held(tags)
  local notes, kept = {}, {}
  if #tags == 0 then return notes, kept end
  local values = get_many(HELD, tags)
  for i = 1, #tags do
    if not values[i] or notes[tags[i]] then
      lost[#lost + 1] = tags[i]
    else
      notes[tags[i]] = values[i]
      kept[#kept + 1] = tags[i]
    end
  end
  if #kept > 0 then call_many('HDEL', HELD, kept) end
  return notes, kept
end

local function ack()
  local wanted, tags = tonumber(next_argument()), {}
  for i = 1, wanted do tags[i] = next_argument() end
  local _, kept = still_held(tags)
  forget(kept)
  forget_attempts(kept)
end

local function requeue()
  for _, counted in ipairs({true, false}) do
    local wanted, tags = tonumber(next_argument()), {}
    for i = 1, wanted do tags[i] = next_argument() end
    local notes = still_held(tags)
    for tag, value in pairs(notes) do
      notes[tag] = noted(value)
      -- Begun or not, whoever requeues it wants it run; an orphan stays one.
      if notes[tag].state == 'B' then notes[tag].state = 'H' end
    end
    give_back(notes, counted)
  end
end

local function park_held()
  local wanted = tonumber(next_argument())
  for _ = 1, wanted do
    local tag, due = next_argument(), tonumber(next_argument())
    local notes = still_held({tag})
    if notes[tag] then
      local held = noted(notes[tag])
      park(tag, held.queue, held.step, due)
    end
  end
end

local function bury_held()
  local wanted = tonumber(next_argument())
  for _ = 1, wanted do
    local tag, reason, traceback = next_argument(), next_argument(), next_argument()
    local notes = still_held({tag})
    local value = notes[tag] and redis.call('HGET', UNACKED, tag)
    if value then
      local held = noted(notes[tag])
      local deliveries = tonumber(redis.call('HGET', ATTEMPTS, tag) or 0) + 1
      bury(held.queue, held.step, reason, traceback, deliveries, unwrapped(value, held.queue))
      forget({tag})
      forget_attempts({tag})
    end
  end
end

local function publish()
  local wanted = tonumber(next_argument())
  for _ = 1, wanted do
    local queue, step, tag = next_argument(), next_argument(), next_argument()
    local due, raw = next_argument(), next_argument()
    send(queue, step, tag, due, raw)
  end
end

ack()
requeue()
park_held()
bury_held()
publish()
return lost
