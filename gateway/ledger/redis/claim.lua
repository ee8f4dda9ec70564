-- KEYS: claim. ARGV: clock, its end, its terms.
local now = now_sec()
local ends = number(ARGV[2])
if ends <= now then return 'too-late' end
local first = call('GET', KEYS[1])
if first and first ~= ARGV[3] then return 'taken' end
-- Written again when it is the same: WAIT counts replicas that have this connection's last write.
call('SET', KEYS[1], ARGV[3])
keep_until(KEYS[1], ends + GRACE + SLACK, now)
return first and 'repeated' or 'claimed'
