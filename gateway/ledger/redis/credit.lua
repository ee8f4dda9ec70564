-- KEYS: account, its revocation, open leases, ended leases, outstanding offers.
-- ARGV: clock, end, service, payment hash that is settled (or ''), then for each credit: its field, amount.
-- Answers what was credited now, and the account. Credits are fields of the account: <amount>:<end>.
local MOST_FIELDS = 60
local now = now_sec()
local ends, service, settled = number(ARGV[2]), ARGV[3], ARGV[4]
if ends <= now then
  if settled ~= '' then call('ZREM', KEYS[5], settled) end
  return 'too-late'
end
local a = load_account()
if a and a.service ~= service then return 'other-service' end
local fresh, total = {}, 0
for at = 5, #ARGV, 2 do
  if call('HEXISTS', KEYS[1], ARGV[at]) == 0 then
    fresh[#fresh + 1] = at
    total = total + number(ARGV[at + 1])
  end
end
if (a and a.credited or 0) + total > MAX then return 'too-much' end
if a and is_stale(a, now) then return 'stale' end

-- Its credits that are past their grace are forgotten when there are many.
local function prune()
  if call('HLEN', KEYS[1]) <= MOST_FIELDS then return end
  local all = call('HGETALL', KEYS[1])
  for at = 1, #all, 2 do
    local ended = string.match(all[at + 1], '^%d+:(%d+)$')
    if ended and number(ended) + GRACE <= now then call('HDEL', KEYS[1], all[at]) end
  end
end

if #fresh == 0 then
  close_if_over(a, now)
else
  if a then
    -- What had expired before this credit stays expired; the account opens again with the new credit alone.
    close_if_over(a, now)
    prune()
  else
    -- Nothing may be left of an account of that name that was forgotten.
    call('DEL', KEYS[3], KEYS[4])
    a = { service = service, balance = 0, spent = 0, ends = ends, credited = 0, reserved = 0, expired = 0 }
    a.revoked = call('EXISTS', KEYS[2]) == 1
    call('HSET', KEYS[1], 's', service, 'p', '0')
    if a.revoked then call('HSET', KEYS[1], 'v', '1') end
  end
  a.balance = a.balance + total
  a.credited = a.credited + total
  a.ends = math.max(a.ends, ends)
  call('HSET', KEYS[1], 'b', text(a.balance), 'c', text(a.credited), 'e', text(a.ends))
  if a.closed then call('HDEL', KEYS[1], 'd') end
  for _, at in ipairs(fresh) do call('HSET', KEYS[1], ARGV[at], ARGV[at + 1] .. ':' .. text(ends)) end
  keep_until(KEYS[3], a.ends + GRACE + HOUR, now)
end
-- Also when nothing was new: WAIT counts replicas that have this connection's last write.
keep_until(KEYS[1], a.ends + GRACE + HOUR, now)
if a.revoked then
  local until_sec = tonumber(call('GET', KEYS[2]) or 0)
  keep_until(KEYS[2], math.max(until_sec, a.ends) + GRACE + HOUR, now)
end
if settled ~= '' then call('ZREM', KEYS[5], settled) end
return show(text(total), a)
