-- KEYS: offer. ARGV: clock, end of the credit, its terms. Its value: 0 or 1 for settled, then the terms.
local now = now_sec()
local known = call('GET', KEYS[1])
if known and string.sub(known, 3) ~= ARGV[3] then return 'other-terms' end
if not known then call('SET', KEYS[1], '0 ' .. ARGV[3]) end
keep_until(KEYS[1], number(ARGV[2]) + GRACE + SLACK, now)
return known and 'repeated' or 'offered'
