-- free: an acquire that meets nobody needs no line.
if holders == '' and queue == '' then
  local token = text(math.max(last + 1, now))
  redis.call('HSET', key, 't', token, 'h' .. name,
    '\n' .. id .. ' ' .. ARGV[7] .. ' ' .. ARGV[8] .. ' ' .. text(now + tonumber(ARGV[6])) .. ' ' .. token)
  redis.call('PEXPIRE', key, KEEP_MS)
  if dir ~= '' then
    if ARGV[11] ~= '' then redis.call('HSET', key, 'v' .. id, ARGV[11]) end
    redis.call('PUBLISH', dir, '')
  end
  return { HELD, token, 0 }
end
