-- KEYS: account, which decides the server. ARGV: clock. Unix ms.
local known = tonumber(ARGV[1])
if known < 0 then return string.format('%.0f', -known * 1000) end
local now = redis.call('TIME')
return string.format('%.0f', tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
