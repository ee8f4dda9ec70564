-- KEYS: offer. A script, because an offer that a Redis has lost must not pass for none.
return redis.call('GET', KEYS[1]) or 'none'
