-- KEYS: settings.
return string.format('%.0f', redis.call('HINCRBY', KEYS[1], 'epoch', 1))
