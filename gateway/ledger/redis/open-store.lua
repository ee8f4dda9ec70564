-- KEYS: settings. ARGV: generation of a new store, or '' when none may be made, version.
-- Answers version, clock, watermark, generation, and whose proofs are written; or importing, or empty.
if redis.call('HEXISTS', KEYS[1], 'importing') == 1 then return 'importing' end
if ARGV[1] == '' and redis.call('HEXISTS', KEYS[1], 'generation') == 0 then return 'empty' end
if ARGV[1] ~= '' then redis.call('HSETNX', KEYS[1], 'generation', ARGV[1]) end
redis.call('HSETNX', KEYS[1], 'version', ARGV[2])
local f = redis.call('HMGET', KEYS[1], 'version', 'clock', 'watermark', 'generation', 'proofs')
return table.concat({ f[1], f[2] or '0', f[3] or '0', f[4], f[5] or 'none' }, ' ')
