-- sole: the release of the only holder that nobody waits for needs no line. In a directory the fields go, so that it stays
-- as large as its holders; a bare name expires as a whole.
if queue == '' then
  local _, _, rid, x = string.find(holders, '^\n(%w+) %d+ %d+ (%d+) %d+$')
  if rid == id and tonumber(x) > now then
    if dir == '' then
      redis.call('HSET', key, 'h', '', 'r', id)
    else
      redis.call('HSET', key, 'r', id)
      redis.call('HDEL', key, 'h' .. name, 'v' .. id)
      redis.call('PUBLISH', dir, '')
    end
    return 1
  end
end
