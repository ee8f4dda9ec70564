-- KEYS: account, open leases, ended leases, paid time. ARGV: clock, leaseId, spend, key and spans as in commit.lua.
local now = now_sec()
local a = load_account()
local lease = a and find_live(ARGV[2], now) or nil
if not lease then return 'gone' end
local spent = number(ARGV[3])
if spent > lease.reserved then return 'uncovered' end
load_paid(ARGV[4])
spent = bill_shared(ARGV[4], ARGV[5], spent)
lease.reserved = lease.reserved - spent
a.reserved = a.reserved - spent
a.spent = a.spent + spent
end_lease(a, ARGV[2], lease, now)
save_amounts(a)
close_if_over(a, now)
return 'released ' .. text(a.balance) .. (ARGV[4] == '' and '' or ' ' .. text(spent))
