-- KEYS: account, open leases, ended leases. ARGV: clock. As it stands now; changes nothing.
local now = now_sec()
local a = load_account()
if not a then return 'none' end
if is_stale(a, now) then
  for _, value in ipairs(call('HVALS', KEYS[2])) do
    local lease = parse_lease(value)
    if lease.until_sec <= now then
      a.reserved = a.reserved - lease.reserved
      a.balance = a.balance + lease.reserved
    end
  end
end
if is_over(a, now) then
  a.expired = a.expired + a.balance
  a.balance = 0
end
return show('account', a)
