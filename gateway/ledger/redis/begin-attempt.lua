-- KEYS: account, request, key of this try. ARGV: clock, amount, attemptId, fingerprint, inFlightSec, free retries that a request has.
local now = now_sec()
local a = load_account()
local amount = number(ARGV[2])
local in_flight_until = now + number(ARGV[5])
local t = load_attempt()
if spend_key(KEYS[3], now) then return 'voided' end
if t and now < t.forget_at then
  if not a or t.fingerprint ~= ARGV[4] then return 'mismatch' end
  if t.id == ARGV[3] then
    if t.state ~= 'in-flight' then return 'voided' end
    return (t.free == 0 and 'spent ' or 'free ') .. text(a.balance)
  end
  if t.state == 'in-flight' and now < t.until_sec then return 'in-flight' end
  if t.state ~= 'delivered' and t.free < number(ARGV[6]) then
    -- Costs nothing, but a revoked or expired account gets nothing either.
    local refusal = refusal_of(a, amount, now)
    if refusal and not string.find(refusal, '^insufficient') then return refusal end
    t.id, t.state, t.free = ARGV[3], 'in-flight', t.free + 1
    t.until_sec, t.forget_at = in_flight_until, in_flight_until + KEY_TTL
    save_attempt(t, now)
    return 'free ' .. text(a.balance)
  end
end
local refusal = refusal_of(a, amount, now)
if refusal then return refusal end
save_attempt({
  id = ARGV[3], fingerprint = ARGV[4], amount = amount, state = 'in-flight', free = 0, until_sec = in_flight_until,
  forget_at = in_flight_until + KEY_TTL,
}, now)
debit(a, amount)
return 'spent ' .. text(a.balance)
