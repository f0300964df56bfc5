-- release: ARGV[4] and on: for each message its partition, ID, and count. It was not seen, so the count goes back by one.
for at = 4, #ARGV, 3 do
  local i, id, count = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if mine(i, id, count) then
    redis.call('XCLAIM', stream(i), group, POOL, 0, id, 'IDLE', 86400000, 'RETRYCOUNT', count - 1, 'JUSTID')
  end
end
return 1
