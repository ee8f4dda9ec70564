-- KEYS: account, open leases, ended leases, paid time. ARGV: clock, then for each lease: leaseId, slice, spend, reserve, ttlSec, key and
-- spans of time that is paid for together ('' and '': none).
-- Answers one outcome a lease, joined by commas; 'uncovered' when one spends more than it has reserved: then nothing is booked.
local now = now_sec()
local a = load_account()
local found = {}
for at = 2, #ARGV, 7 do
  local lease = a and find_live(ARGV[at], now) or nil
  found[at] = lease
  if lease and number(ARGV[at + 1]) > lease.slice and number(ARGV[at + 2]) > lease.reserved then return 'uncovered' end
  load_paid(ARGV[at + 5])
end

local function held(kind, lease)
  return kind .. ' ' .. text(a.balance) .. ' ' .. text(lease.reserved)
end

-- Brought up to date with its leases, which refusal_of leaves to the caller.
local function refusal_now(amount)
  local refusal = refusal_of(a, amount, now)
  if refusal ~= 'stale' then return refusal end
  give_back_expired(a, now)
  return refusal_of(a, amount, now)
end

local changed = false

local function commit_one(at)
  local lease = found[at]
  if not lease then return 'gone' end
  local slice = number(ARGV[at + 1])
  if slice <= lease.slice then return held('repeated', lease) end
  changed = true
  local spent, reserved = bill_shared(ARGV[at + 5], ARGV[at + 6], number(ARGV[at + 2])), number(ARGV[at + 3])
  local billed = ARGV[at + 5] == '' and '' or ' ' .. text(spent)
  lease.reserved = lease.reserved - spent
  a.reserved = a.reserved - spent
  a.spent = a.spent + spent
  lease.slice = slice
  local refusal = refusal_now(reserved)
  local must_end = refusal == 'revoked' or refusal == 'expired'
  if not must_end then lease.until_sec = now + number(ARGV[at + 4]) end
  if not refusal then
    a.balance = a.balance - reserved
    a.reserved = a.reserved + reserved
    lease.reserved = lease.reserved + reserved
  end
  save_lease(ARGV[at], lease)
  if must_end then return refusal .. billed end
  return held(refusal and 'insufficient' or 'committed', lease) .. billed
end

local outcomes = {}
for at = 2, #ARGV, 7 do outcomes[#outcomes + 1] = commit_one(at) end
if changed then save_amounts(a) end
return table.concat(outcomes, ',')
