-- KEYS: account, outstanding offers, its revocation. ARGV: until. Unless there is an account again, or it was revoked for longer meanwhile.
if redis.call('EXISTS', KEYS[1]) == 1 or redis.call('EXISTS', KEYS[2]) == 1 then return 'kept' end
if tonumber(redis.call('GET', KEYS[3]) or 0) > tonumber(ARGV[1]) then return 'kept' end
redis.call('DEL', KEYS[3])
return 'forgotten'
