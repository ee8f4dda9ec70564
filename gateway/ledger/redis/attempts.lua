-- Follows account.lua in scripts on requests with an Idempotency-Key. KEYS[2]: the request. KEYS[3]: the key of this try.
-- i attemptId, f fingerprint, a amount, s state, n free retries, u in flight until, g forgotten at
local function load_attempt()
  local f = call('HMGET', KEYS[2], 'i', 'f', 'a', 's', 'n', 'u', 'g')
  if not f[1] then return nil end
  return {
    id = f[1], fingerprint = f[2], amount = number(f[3]), state = f[4], free = number(f[5]), until_sec = number(f[6]),
    forget_at = number(f[7]),
  }
end

local function save_attempt(t, now)
  call('HSET', KEYS[2], 'i', t.id, 'f', t.fingerprint, 'a', text(t.amount), 's', t.state, 'n', text(t.free), 'u',
    text(t.until_sec), 'g', text(t.forget_at))
  call('EXPIRE', KEYS[2], text(t.forget_at + SLACK - now))
end

local function is_in_flight(t, id)
  return t and t.id == id and t.state == 'in-flight'
end

-- Undone, and refused from now on, as a spend that was voided.
local function undo(a, t, now)
  save_spend_key(KEYS[3], '0', true, now)
  if t.free > 0 then
    -- Nothing was taken for this retry. The price was for an answer before it, which the client may have read to its last byte.
    t.state, t.free, t.forget_at = 'undelivered', t.free - 1, now + KEY_TTL
    save_attempt(t, now)
    return
  end
  call('DEL', KEYS[2])
  refund(a, t.amount, now)
end
