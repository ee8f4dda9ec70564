-- KEYS: account, open leases, ended leases. ARGV: clock, watermark. Answers leases given back, msat expired, whether it was forgotten.
local now = now_sec()
local a = load_account()
if not a then return '0 0 0' end
local ended = give_back_expired(a, now)
local expired = close_if_over(a, now)
local forgotten = a.closed and a.ends <= number(ARGV[2]) and call('HLEN', KEYS[2]) == 0
if forgotten then call('DEL', KEYS[1], KEYS[3]) end
return table.concat({ text(ended), text(expired), forgotten and '1' or '0' }, ' ')
