-- KEYS: settings, revocations by number, revocations by end. ARGV: accountId, until.
-- A longer one takes a new number, so that every gateway hears of it.
local known = redis.call('ZSCORE', KEYS[3], ARGV[1])
if known and tonumber(known) >= tonumber(ARGV[2]) then
  -- A write that changes nothing: WAIT counts replicas that have this connection's last write.
  redis.call('HINCRBY', KEYS[1], 'revocation-sequence', 0)
  return 'known'
end
local sequence = redis.call('HINCRBY', KEYS[1], 'revocation-sequence', 1)
redis.call('ZADD', KEYS[2], sequence, ARGV[1])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[1])
return 'listed'
