-- bury: ARGV[4] partition, [5] ID in the stream, [6] count, then the message's ID, key, header, and data, attempts, and error
local i, id = ARGV[4], ARGV[5]
if not mine(i, id, ARGV[6]) then return 0 end
redis.call('XADD', base .. ':x:' .. group, '*', 'p', i, 'i', ARGV[7], 'k', ARGV[8], 'h', ARGV[9], 'd', ARGV[10], 'a', ARGV[11],
  'e', ARGV[12])
redis.call('XACK', stream(i), group, id)
return 1
