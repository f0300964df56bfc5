-- release: ARGV[6] TTL in microseconds
local at, stop, mine = find()
local was = 1
if me then
  for i, r in ipairs(held) do
    if r == me then table.remove(held, i) end
  end
  used, room, changed = 0, ALL, true
  for _, r in ipairs(held) do used, room = used + r.w, math.min(room, r.c) end
elseif mine and mine.w > 0 and mine.x > now then
  replace(at, stop, '')
elseif redis.call('HGET', key, 'r') == id then
  return 1
else
  was = 0
  if not mine then
    queue = queue .. write({ id = id, w = 0, c = ALL, x = now + tonumber(ARGV[6]), y = '0' })
  end
end
if was == 1 then
  gone[#gone + 1] = 'v' .. id
  extra = id
end
id = '' -- my record is gone: nobody is granted without being told
grant()
save()
return was
