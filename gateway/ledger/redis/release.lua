-- KEYS: account, open leases, ended leases. ARGV: clock, leaseId, spend.
local now = now_sec()
local a = load_account()
local lease = a and find_live(ARGV[2], now) or nil
if not lease then return 'gone' end
local spent = number(ARGV[3])
if spent > lease.reserved then return 'uncovered' end
lease.reserved = lease.reserved - spent
a.reserved = a.reserved - spent
a.spent = a.spent + spent
end_lease(a, ARGV[2], lease, now)
save_amounts(a)
close_if_over(a, now)
return 'released ' .. text(a.balance)
