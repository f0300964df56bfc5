-- leave: gives back all that the consumer has, and its partitions
for i = 0, streams - 1 do
  local s = stream(i)
  local from = '-'
  repeat
    local some = redis.pcall('XPENDING', s, group, from, '+', 1000, me)
    for _, p in ipairs(some) do
      redis.call('XCLAIM', s, group, POOL, 0, p[1], 'IDLE', 86400000, 'RETRYCOUNT', p[4], 'JUSTID')
      from = '(' .. p[1]
    end
  until some.err or #some == 0
  local left = redis.pcall('XPENDING', s, group, '-', '+', 1, me)
  if not left.err and #left == 0 then redis.call('XGROUP', 'DELCONSUMER', s, group, me) end
  if parts > 0 and owner(i) == me then redis.call('HDEL', gkey, 'o' .. i) end
end
redis.call('HDEL', gkey, 'm' .. me, 'r' .. me)
return 1
