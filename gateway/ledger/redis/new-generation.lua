-- KEYS: settings, fingerprints. ARGV: generation. Clock and watermark guard only what is void now.
redis.call('HSET', KEYS[1], 'generation', ARGV[1], 'clock', '0', 'watermark', '0')
redis.call('DEL', KEYS[2])
return 'renewed'
