-- KEYS: account, key of the spend. ARGV: clock, amount.
local now = now_sec()
local a = load_account()
local known = spend_key(KEYS[2], now)
if known then
  if known.amount ~= ARGV[2] then return 'other-amount' end
  if known.voided then return 'voided' end
  if not a then error('DAMAGED: the account of a spend is missing') end
  return 'repeated ' .. text(a.balance)
end
local amount = number(ARGV[2])
local refusal = refusal_of(a, amount, now)
if refusal then return refusal end
save_spend_key(KEYS[2], ARGV[2], false, now)
debit(a, amount)
return 'spent ' .. text(a.balance)
