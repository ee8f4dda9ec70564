-- KEYS: account, key of the spend. ARGV: clock, amount.
local now = now_sec()
local known = spend_key(KEYS[2], now)
if not known then
  save_spend_key(KEYS[2], ARGV[2], true, now)
  return 'unknown'
end
if known.amount ~= ARGV[2] then return 'other-amount' end
if known.voided then return 'repeated' end
local a = load_account()
local amount = number(ARGV[2])
if not a or a.spent < amount then error('DAMAGED: the account of a spend is missing') end
save_spend_key(KEYS[2], ARGV[2], true, now)
refund(a, amount, now)
return 'voided'
