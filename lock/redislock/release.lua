-- release: ARGV[6] TTL in microseconds
local at, r = find()
local was = mine > now and (me or r and r.w > 0)
if was then
  if r then cut(at, r) end
  gone[#gone + 1] = 'x' .. id
  gone[#gone + 1] = 'v' .. id
  put('r', id, '')
  local others = held
  held, used, room, changed = {}, 0, ALL, changed or me ~= nil
  for _, h in ipairs(others) do
    if h.id ~= id then hold(h) end
  end
elseif released == id then
  return 1
else
  if r then cut(at, r) end
  mine = now + tonumber(ARGV[6])
  queue = queue .. write({ id = id, w = 0, c = ALL, y = '0' })
  put('x' .. id, text(mine), '')
end
grant()
save()
return was and 1 or 0
