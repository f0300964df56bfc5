-- renew: ARGV[6] TTL in microseconds
local ends = now + tonumber(ARGV[6])
if me then
  me.x = ends
else
  local at, stop, mine = find()
  if not mine or mine.w == 0 or mine.x <= now then return { GONE, '0', 0 } end
  mine.x = ends
  replace(at, stop, write(mine))
end
grant()
save()
return state()
