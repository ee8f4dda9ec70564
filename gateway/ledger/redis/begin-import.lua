-- KEYS: settings. ARGV: generation and epoch of the store that is moved here. Answers begun, resumed, finished, or what stands in the way.
local f = redis.call('HMGET', KEYS[1], 'importing', 'generation', 'moved-epoch')
if f[1] then return f[1] == ARGV[1] and 'resumed' or 'other-import' end
if f[2] then
  if f[2] ~= ARGV[1] then return 'occupied' end
  if f[3] ~= ARGV[2] then return 'used-since' end
  -- Written again: WAIT counts replicas that have this connection's last write.
  redis.call('HSET', KEYS[1], 'moved-epoch', ARGV[2])
  return 'finished'
end
redis.call('HSET', KEYS[1], 'importing', ARGV[1])
return 'begun'
