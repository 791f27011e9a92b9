-- Store result documents and tell whoever waits for them, unless a SUCCESS is there already.
--
-- KEYS  the documents' keys, which are the names of their channels, too
-- ARGV  for each key: milliseconds to live (0: for ever), document
-- Returns the positions of the keys whose present document does not show its state in its first bytes.

local HEAD = 47

-- true: a SUCCESS; false: another state, or nothing; nil: not to be seen
local function is_success(key)
  local head = redis.pcall('GETRANGE', key, 0, HEAD)
  if type(head) == 'table' or head == '' then
    return false
  end
  local json = string.match(head, '^%s*{%s*"status"%s*:%s*"([^"]*)')
  if json then
    return json == 'SUCCESS'
  end
  local _, stop = string.find(head, 'status', 1, true)
  local first = string.byte(head)
  -- MessagePack's maps begin with 0x80 to 0x8f or 0xde, pickles with 0x80 and the protocol.
  if not stop or first < 128 then
    return nil
  end
  local rest = string.sub(head, stop + 1)
  -- MessagePack: 0xa7 and seven letters; pickle: an opcode or three, the length 7 in one byte or four, the letters.
  return string.find(rest, '^\167SUCCESS') ~= nil or string.find(rest, '^.?.?.?\7%z?%z?%z?SUCCESS') ~= nil
end

local function set(key, lifetime, document, ...)
  if lifetime == '0' then return redis.call('SET', key, document, ...) end
  return redis.call('SET', key, document, 'PX', lifetime, ...)
end

local unclear = {}
for i = 1, #KEYS do
  local key, lifetime, document = KEYS[i], ARGV[2 * i - 1], ARGV[2 * i]
  -- Mostly there is nothing yet, and what is not there need not be looked at.
  local stored = set(key, lifetime, document, 'NX')
  if not stored then
    local success = is_success(key)
    if success == nil then
      unclear[#unclear + 1] = i
    elseif not success then
      stored = set(key, lifetime, document)
    end
  end
  if stored then redis.call('PUBLISH', key, document) end
end
return unclear
