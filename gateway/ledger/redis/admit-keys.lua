-- KEYS: fingerprints. ARGV: fingerprints.
local known = redis.call('SCARD', KEYS[1])
local kind = known == 0 and 'first' or 'unknown'
for _, fingerprint in ipairs(ARGV) do
  if redis.call('SISMEMBER', KEYS[1], fingerprint) == 1 then kind = 'known' end
end
if kind ~= 'unknown' then redis.call('SADD', KEYS[1], unpack(ARGV)) end
return kind
