-- join: makes the group where there is none, and returns its last token
if not known then redis.call('HSET', base, 'p', parts) end
for i = 0, streams - 1 do
  local made = redis.pcall('XGROUP', 'CREATE', stream(i), group, '0', 'MKSTREAM')
  if made.err and not string.find(made.err, 'BUSYGROUP', 1, true) then error(made.err) end
end
if parts > 0 then redis.call('HSET', gkey, 'm' .. me, text(now + lease * 1000)) end
return redis.call('HGET', gkey, 't') or token()
