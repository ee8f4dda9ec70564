-- Begins every script that works on an account. KEYS[1]: the account. ARGV[1]: the clock.
-- Scripts read and judge first and write last: a write that Redis refuses (OOM, READONLY) is then the first, and nothing is half done.
-- Amounts are whole msat up to 2^53-1, which Lua's doubles add and subtract exactly; tostring would write 1e+15.
local call = redis.call
local MAX = 9007199254740991
local KEY_TTL = 600
local GRACE = 86400
-- Keys outlive what their record says by this: the record is the verdict, the TTL only cleans up.
local SLACK = 60
local HOUR = 3600
local CENTURY = 3200000000

local function text(n)
  return string.format('%.0f', n)
end

local function number(value)
  local n = tonumber(value)
  if not (n and n >= 0 and n <= MAX) then error('DAMAGED: no whole number where one was written') end
  return n
end

-- A clock that a test sets comes as a negative number; else it is this server's, and never before what gateways have seen.
local function now_sec()
  local known = tonumber(ARGV[1])
  if known < 0 then return -known end
  return math.max(known, tonumber(call('TIME')[1]))
end

-- Seconds from now on until sec, as a TTL counts them: by this server's clock, which is behind the one that is known when a clock was wrong
-- once. By the known one a key would be gone before its record is too late. A clock that a test sets counts for itself.
local function seconds_until(sec, now)
  local from = tonumber(ARGV[1]) < 0 and now or tonumber(call('TIME')[1])
  return math.min(math.max(sec - from, 1), CENTURY)
end

local function keep_until(key, sec, now)
  call('EXPIRE', key, text(seconds_until(sec, now)))
end

-- s service, b balance, p spent, e end, c credited, r reserved, x expired, v revoked, d closed, m no lease ends before
local function load_account()
  local f = call('HMGET', KEYS[1], 's', 'b', 'p', 'e', 'c', 'r', 'x', 'v', 'd', 'm')
  if not f[1] then return nil end
  return {
    service = f[1],
    balance = number(f[2]),
    spent = number(f[3]),
    ends = number(f[4]),
    credited = number(f[5]),
    reserved = number(f[6] or 0),
    expired = number(f[7] or 0),
    revoked = f[8] and true or false,
    closed = f[9] and true or false,
    lease_end = f[10] and number(f[10]) or nil,
  }
end

local function save_amounts(a)
  call('HSET', KEYS[1], 'b', text(a.balance), 'p', text(a.spent), 'r', text(a.reserved), 'x', text(a.expired))
end

local function is_over(a, now)
  return a.closed or a.ends <= now
end

-- Moves the balance of an account that is over to expired; returns how much.
local function close_if_over(a, now)
  if not is_over(a, now) or (a.closed and a.balance == 0) then return 0 end
  local moved = a.balance
  a.expired = a.expired + moved
  a.balance = 0
  a.closed = true
  call('HSET', KEYS[1], 'b', '0', 'x', text(a.expired), 'd', '1')
  return moved
end

-- Leases have ended whose money is still reserved: refresh-account.lua gives it back before anything is judged.
local function is_stale(a, now)
  return a.reserved > 0 and a.lease_end and a.lease_end <= now
end

-- Why the amount can't be taken; nil when it can.
local function refusal_of(a, amount, now)
  if not a then return 'unknown-account' end
  if a.revoked then return 'revoked' end
  if is_over(a, now) or a.balance < amount then
    if is_stale(a, now) then return 'stale' end
    close_if_over(a, now)
  end
  if a.closed then return 'expired' end
  if a.balance < amount then return 'insufficient ' .. text(a.balance) end
  return nil
end

local function debit(a, amount)
  a.balance = a.balance - amount
  a.spent = a.spent + amount
  call('HSET', KEYS[1], 'b', text(a.balance), 'p', text(a.spent))
end

-- Gives a debit back. Into an account that is over, it goes on to expired.
local function refund(a, amount, now)
  a.balance = a.balance + amount
  a.spent = a.spent - amount
  call('HSET', KEYS[1], 'b', text(a.balance), 'p', text(a.spent))
  close_if_over(a, now)
end

-- The key of a spend: its amount, until when it is known, and whether it was voided. nil when it is not known (any more).
local function spend_key(key, now)
  local value = call('GET', key)
  if not value then return nil end
  local amount, until_sec, voided = string.match(value, '^(%d+):(%d+)(v?)$')
  if not amount then error('DAMAGED: the key of a spend') end
  if number(until_sec) <= now then return nil end
  return { amount = amount, voided = voided == 'v' }
end

local function save_spend_key(key, amount, voided, now)
  local value = amount .. ':' .. text(now + KEY_TTL) .. (voided and 'v' or '')
  call('SET', key, value, 'EX', tostring(KEY_TTL + SLACK))
end

-- The account as the port shows it, after its kind.
local function show(kind, a)
  return table.concat({
    kind, a.service, text(a.credited), text(a.spent), text(a.reserved), text(a.expired), text(a.balance), text(a.ends),
    a.revoked and '1' or '0',
  }, ' ')
end
