-- KEYS: offer. Marks it as settled; its TTL stays.
local known = redis.call('GET', KEYS[1])
if not known then return 'none' end
redis.call('SET', KEYS[1], '1' .. string.sub(known, 2), 'KEEPTTL')
return 'settled'
