-- KEYS: settings. ARGV: generation of the store that is moved here. Answers begun, resumed, finished, or what stands in the way.
local mark = redis.call('HGET', KEYS[1], 'importing')
if mark then return mark == ARGV[1] and 'resumed' or 'other-import' end
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation then return generation == ARGV[1] and 'finished' or 'occupied' end
redis.call('HSET', KEYS[1], 'importing', ARGV[1])
return 'begun'
