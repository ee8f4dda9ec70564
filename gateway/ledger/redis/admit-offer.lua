-- KEYS: account, outstanding offers. ARGV: clock, payment hash, service, end of the invoice, end of the credit, most outstanding.
local now = now_sec()
local a = load_account()
if not a then return 'unknown-account' end
if a.service ~= ARGV[3] then return 'other-service' end
if a.revoked then return 'revoked' end
if is_over(a, now) then return 'expired' end
if number(ARGV[5]) <= now then return 'too-late' end
if not call('ZSCORE', KEYS[2], ARGV[2]) then
  if call('ZCOUNT', KEYS[2], '(' .. text(now), '+inf') >= number(ARGV[6]) then return 'too-many' end
end
call('ZADD', KEYS[2], ARGV[4], ARGV[2])
local left = math.max(call('TTL', KEYS[2]), seconds_until(number(ARGV[5]) + GRACE + HOUR, now))
call('EXPIRE', KEYS[2], text(left))
return 'admitted'
