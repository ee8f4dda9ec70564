-- KEYS: account, open leases, ended leases. ARGV: clock, leaseId, amount, ttlSec, most live leases (or '').
local now = now_sec()
local id, amount = ARGV[2], number(ARGV[3])
local a = load_account()
if a then
  bring_up_to_date(a, now)
  local ended_until = call('ZSCORE', KEYS[3], id)
  if call('HEXISTS', KEYS[2], id) == 1 or (ended_until and number(ended_until) > now) then
    return 'repeated ' .. text(a.balance)
  end
end
local refusal = refusal_of(a, amount, now)
if refusal then return refusal end
if ARGV[5] ~= '' and call('HLEN', KEYS[2]) >= number(ARGV[5]) then
  local live = 0
  for _, value in ipairs(call('HVALS', KEYS[2])) do
    if parse_lease(value).until_sec > now then live = live + 1 end
  end
  if live >= number(ARGV[5]) then return 'too-many-leases' end
end
local until_sec = now + number(ARGV[4])
save_lease(id, { reserved = amount, slice = 0, until_sec = until_sec })
keep_leases(a, now)
a.balance = a.balance - amount
a.reserved = a.reserved + amount
save_amounts(a)
if not a.lease_end or until_sec < a.lease_end then call('HSET', KEYS[1], 'm', text(until_sec)) end
return 'reserved ' .. text(a.balance)
