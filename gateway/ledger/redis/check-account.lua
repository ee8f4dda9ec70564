-- KEYS: account, its revocation. ARGV: clock, end, service, amount, field of the credit. What a credit would meet; changes nothing.
local now = now_sec()
if number(ARGV[2]) <= now then return 'too-late' end
if call('EXISTS', KEYS[2]) == 1 then return 'revoked' end
if ARGV[4] == '0' then return 'fits' end
local a = load_account()
if not a then return 'fits' end
if a.service ~= ARGV[3] then return 'other-service' end
if call('HEXISTS', KEYS[1], ARGV[5]) == 1 then return 'credited' end
if a.credited + number(ARGV[4]) > MAX then return 'too-much' end
return 'fits'
