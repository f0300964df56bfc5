-- free: an acquire that meets nobody needs no line.
if released == id then return { GONE, '0', 0 } end
if holders == '' and queue == '' then
  last = math.max(last + 1, now)
  local token = text(last)
  redis.call('HSET', key, 't', token, 'h' .. name, '\n' .. id .. ' ' .. ARGV[7] .. ' ' .. ARGV[8] .. ' ' .. token,
    'x' .. id, text(now + tonumber(ARGV[6])))
  if dir ~= '' and ARGV[11] ~= '' then redis.call('HSET', key, 'v' .. id, ARGV[11]) end
  keep()
  hint()
  return { HELD, token, 0 }
end
