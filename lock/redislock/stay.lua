-- stay: the renewal of a holder, while nobody waits, needs no line.
if queue == '' and mine > now then
  local _, _, token = string.find(holders, '\n' .. id .. ' %d+ %d+ (%d+)')
  if token then
    keep()
    redis.call('HSET', key, 'x' .. id, text(now + tonumber(ARGV[6])))
    return { HELD, token, 0 }
  end
end
