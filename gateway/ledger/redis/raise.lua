-- KEYS: settings. ARGV: pairs of a field and what it is raised to, unless it is there or beyond. Answers what they are then.
local values = {}
for at = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], ARGV[at]) or '0'
  if tonumber(ARGV[at + 1]) > tonumber(known) then
    known = ARGV[at + 1]
    redis.call('HSET', KEYS[1], ARGV[at], known)
  end
  values[#values + 1] = known
end
return table.concat(values, ' ')
