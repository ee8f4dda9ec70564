-- KEYS: account, outstanding offers. ARGV: clock, most of them. Payment hashes whose invoice can still be paid, the latest end first.
local now = now_sec()
local found = call('ZREVRANGEBYSCORE', KEYS[2], '+inf', '(' .. text(now), 'LIMIT', '0', ARGV[2])
return table.concat(found, ',')
