-- KEYS: offer. A settled one stays known until it is forgotten. Answers what was dropped.
local known = redis.call('GET', KEYS[1])
if not known or string.sub(known, 1, 1) ~= '0' then return 'none' end
redis.call('DEL', KEYS[1])
return known
