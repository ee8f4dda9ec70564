-- KEYS: account, request, key of this try. ARGV: clock, attemptId.
local now = now_sec()
local a = load_account()
local t = load_attempt()
if a and is_in_flight(t, ARGV[2]) and a.spent >= t.amount then
  undo(a, t, now)
  return 'voided'
end
if (t and t.id == ARGV[2]) or spend_key(KEYS[3], now) then return 'repeated' end
save_spend_key(KEYS[3], '0', true, now)
return 'unknown'
