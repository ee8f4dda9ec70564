-- KEYS: settings. ARGV: generation. The proof was found; the settings must say the same.
local generation = redis.call('HGET', KEYS[1], 'generation')
if generation ~= ARGV[1] then return redis.error_reply('SLUICEMISMATCH ' .. (generation and 'generation' or 'empty')) end
return 'known'
