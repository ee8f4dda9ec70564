-- KEYS: settings. ARGV: generation. Every slot has its proof: from now on one that is missing was lost.
if redis.call('HGET', KEYS[1], 'generation') ~= ARGV[1] then return 'other' end
redis.call('HSET', KEYS[1], 'proofs', ARGV[1])
return 'noted'
