-- redrive: ARGV[2] group, [3] ID of the dead letter
redis.call('PERSIST', base)
local letters = base .. ':x:' .. ARGV[2]
local found = redis.call('XRANGE', letters, ARGV[3], ARGV[3])
if #found == 0 then return 0 end
local m = named(found[1][2])
local i = tonumber(m.p)
append(text(i), m.i, m.k, m.h, m.d, ARGV[2])
save()
redis.call('XDEL', letters, ARGV[3])
return 1
