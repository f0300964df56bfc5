-- acquire: ARGV[6] TTL in microseconds, [7] weight, [8] capacity, [9] '1' not to wait, [10] client, [11] value
local ends = now + tonumber(ARGV[6])
local at, stop, mine = find()
if me then
  me.x = ends
elseif mine and mine.w == 0 then
  return { GONE, '0', 0 }
else
  if mine then
    mine.x = ends
    replace(at, stop, write(mine))
  else
    mine = { id = id, w = tonumber(ARGV[7]), c = tonumber(ARGV[8]), x = ends, y = ARGV[10] }
    queue = queue .. write(mine)
    if dir ~= '' and ARGV[11] ~= '' then redis.call('HSET', key, 'v' .. id, ARGV[11]) end
  end
  grant()
  if not me then
    purge()
    if ARGV[9] == '1' then
      at, stop = find()
      replace(at, stop, '')
      gone[#gone + 1] = 'v' .. id
      save()
      return { QUEUED, '0', 0 }
    end
  end
end
save()
return state()
