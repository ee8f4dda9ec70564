-- Follows account.lua in scripts that work on leases. KEYS[2]: the account's open leases. KEYS[3]: those that ended lately.
local function parse_lease(value)
  local reserved, slice, until_sec = string.match(value, '^(%d+) (%d+) (%d+)$')
  if not reserved then error('DAMAGED: a lease') end
  return { reserved = number(reserved), slice = number(slice), until_sec = number(until_sec) }
end

local function save_lease(id, lease)
  call('HSET', KEYS[2], id, text(lease.reserved) .. ' ' .. text(lease.slice) .. ' ' .. text(lease.until_sec))
end

-- Leases of an account that has ended have ended within a day of it, as the account's own record.
local function keep_leases(a, now)
  keep_until(KEYS[2], a.ends + GRACE + HOUR, now)
end

local function find_live(id, now)
  local value = call('HGET', KEYS[2], id)
  if not value then return nil end
  local lease = parse_lease(value)
  return lease.until_sec > now and lease or nil
end

-- What the lease holds goes back to the balance. The caller saves the account.
local function end_lease(a, id, lease, now)
  a.reserved = a.reserved - lease.reserved
  a.balance = a.balance + lease.reserved
  call('HDEL', KEYS[2], id)
  call('ZREMRANGEBYSCORE', KEYS[3], '-inf', text(now))
  call('ZADD', KEYS[3], text(now + KEY_TTL), id)
  call('EXPIRE', KEYS[3], tostring(KEY_TTL + SLACK))
end

-- Ends the leases that nobody renewed, saves the account, and returns how many they were.
local function give_back_expired(a, now)
  if not (a.lease_end and a.lease_end <= now) then return 0 end
  local all = call('HGETALL', KEYS[2])
  local ended, first = {}, nil
  for at = 1, #all, 2 do
    local lease = parse_lease(all[at + 1])
    if lease.until_sec <= now then
      ended[#ended + 1] = { id = all[at], lease = lease }
    elseif not first or lease.until_sec < first then
      first = lease.until_sec
    end
  end
  for _, one in ipairs(ended) do end_lease(a, one.id, one.lease, now) end
  save_amounts(a)
  a.lease_end = first
  if first then call('HSET', KEYS[1], 'm', text(first)) else call('HDEL', KEYS[1], 'm') end
  return #ended
end

local function bring_up_to_date(a, now)
  if a.reserved > 0 then give_back_expired(a, now) end
  close_if_over(a, now)
end
