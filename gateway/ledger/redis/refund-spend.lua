-- KEYS: account, key of the spend. ARGV: clock, amount.
local now = now_sec()
local known = spend_key(KEYS[2], now)
if known then
  if known.amount ~= ARGV[2] then return 'other-amount' end
  if known.voided then return 'repeated' end
end
local a = load_account()
if not a then return 'unknown-account' end
local amount = number(ARGV[2])
if a.spent < amount then return 'never-spent' end
save_spend_key(KEYS[2], ARGV[2], true, now)
refund(a, amount, now)
return 'refunded'
