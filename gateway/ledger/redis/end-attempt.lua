-- KEYS: account, request, key of this try. ARGV: clock, attemptId, how it ended.
local now = now_sec()
local a = load_account()
local t = load_attempt()
-- An account that was purged and opened again since has not spent what would be given back.
if not a or not is_in_flight(t, ARGV[2]) or a.spent < t.amount then return 'unknown' end
if ARGV[3] == 'refunded' then
  undo(a, t, now)
else
  t.state, t.forget_at = ARGV[3], now + KEY_TTL
  save_attempt(t, now)
end
return 'ended'
