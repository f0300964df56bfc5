-- renew: ARGV[6] TTL in microseconds
local at, r = find()
if mine <= now or not (me or r and r.w > 0) then return { GONE, '0', 0 } end
mine = now + tonumber(ARGV[6])
put('x' .. id, text(mine), '')
grant()
save()
return state()
