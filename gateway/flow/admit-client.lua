-- One client's request for an invoice, counted for all gateways: a token of its bucket, then a place among its unpaid invoices.
-- KEYS: bucket, places. ARGV: burst, tokens that come back a minute, most places, seconds that a place lives, name of the place.
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local burst, per_minute = tonumber(ARGV[1]), tonumber(ARGV[2])

local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1] or burst)
local elapsed_ms = math.max(0, now_ms - tonumber(bucket[2] or now_ms))
tokens = math.min(burst, tokens + elapsed_ms * per_minute / 60000)
if tokens < 1 then
  return { 'wait', math.max(1, math.ceil((1 - tokens) * 60 / per_minute)) }
end
tokens = tokens - 1
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.0f', now_ms))
-- A bucket that is full again is as good as none.
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) * 60000 / per_minute) + 1000)

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now_ms))
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  return { 'full' }
end
local lives_ms = tonumber(ARGV[4]) * 1000
redis.call('ZADD', KEYS[2], string.format('%.0f', now_ms + lives_ms), ARGV[5])
if redis.call('PTTL', KEYS[2]) < lives_ms then
  redis.call('PEXPIRE', KEYS[2], lives_ms)
end
return { 'ok' }
