-- Stands before account.lua and spend.lua: most spends can be paid, and need neither. KEYS and ARGV are those of spend.lua.
do
  local f = redis.call('HMGET', KEYS[1], 'b', 'p', 'e', 'v', 'd')
  local balance, spent, ends = tonumber(f[1]), tonumber(f[2]), tonumber(f[3])
  local amount, now = tonumber(ARGV[2]), tonumber(ARGV[1])
  if now < 0 then
    now = -now
  else
    now = math.max(now, tonumber(redis.call('TIME')[1]))
  end
  local is_open = balance and spent and ends and not f[4] and not f[5] and ends > now
  -- What is no amount is left to account.lua, which says so.
  if is_open and balance >= amount and balance <= 9007199254740991 and spent >= 0 and spent + amount <= 9007199254740991 then
    -- The key is the lock on the debit: it is there already when this spend, or its void, came before.
    if redis.call('SET', KEYS[2], string.format('%s:%.0f', ARGV[2], now + 600), 'NX', 'EX', '660') then
      local left = string.format('%.0f', balance - amount)
      redis.call('HSET', KEYS[1], 'b', left, 'p', string.format('%.0f', spent + amount))
      return 'spent ' .. left
    end
  end
end
