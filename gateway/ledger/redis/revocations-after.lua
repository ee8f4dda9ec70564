-- KEYS: revocations by number, revocations by end. ARGV: number, most of them. Answers "account until number" joined by commas.
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', '0', ARGV[2])
local rows = {}
for at = 1, #found, 2 do
  local until_sec = string.format('%.0f', tonumber(redis.call('ZSCORE', KEYS[2], found[at]) or 0))
  rows[#rows + 1] = found[at] .. ' ' .. until_sec .. ' ' .. string.format('%.0f', tonumber(found[at + 1]))
end
return table.concat(rows, ',')
