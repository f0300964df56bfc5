-- sole: the release of the only holder, while nobody waits, needs no line. What frees memory comes first: a server that is
-- full lets the rest through.
if queue == '' and mine > now and string.find(holders, '^\n' .. id .. ' %d+ %d+ %d+$') then
  redis.call('HDEL', key, 'h' .. name, 'x' .. id, 'v' .. id)
  redis.call('HSET', key, 'r', id)
  hint()
  return 1
end
