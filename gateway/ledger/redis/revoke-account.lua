-- KEYS: account, its revocation. ARGV: clock, until. Marks the account, or the one that may open under that name.
local now = now_sec()
local until_sec = math.max(number(ARGV[2]), tonumber(call('GET', KEYS[2]) or 0))
local a = load_account()
call('SET', KEYS[2], text(until_sec))
keep_until(KEYS[2], math.max(until_sec, a and a.ends or 0) + GRACE + HOUR, now)
if a and not a.revoked then call('HSET', KEYS[1], 'v', '1') end
return 'revoked'
