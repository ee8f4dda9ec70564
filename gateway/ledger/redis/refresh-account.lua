-- KEYS: account, open leases, ended leases. ARGV: clock.
local now = now_sec()
local a = load_account()
if a then bring_up_to_date(a, now) end
return 'refreshed'
