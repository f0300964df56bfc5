-- acquire: ARGV[6] TTL in microseconds, [7] weight, [8] capacity, [9] '1' not to wait, [10] client, [11] value
local at, r = find()
local lives, fresh = mine > now, false
if r and r.w == 0 and lives then return { GONE, '0', 0 } end
if not me and not (r and lives) then
  if r then cut(at, r) end
  gone[#gone + 1] = 'x' .. id
  gone[#gone + 1] = 'v' .. id
  fresh = true
  queue = queue .. write({ id = id, w = tonumber(ARGV[7]), c = tonumber(ARGV[8]), y = ARGV[10] })
end
mine = now + tonumber(ARGV[6])
grant()
if not me and fresh and ARGV[9] == '1' then
  at, r = find()
  cut(at, r)
  save()
  return { QUEUED, '0', 0 }
end
if not me then purge() end
put('x' .. id, text(mine), '')
if fresh and dir ~= '' then put('v' .. id, ARGV[11], '') end
save()
return state()
