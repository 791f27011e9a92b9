-- Store one result document in place of the one that the caller has read.
--
-- KEYS  the document's key, which is the name of its channel, too
-- ARGV  milliseconds to live (0: for ever), document, the document it replaces
-- Returns 1, or 0 when another one is there by now.

if redis.call('GET', KEYS[1]) ~= ARGV[3] then
  return 0
end
if ARGV[1] == '0' then
  redis.call('SET', KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[1])
end
redis.call('PUBLISH', KEYS[1], ARGV[2])
return 1
