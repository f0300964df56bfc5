-- snapshot: the server's time and everything in a directory, to be read by the caller
return { redis.call('TIME'), redis.call('HGETALL', KEYS[1]) }
