-- setvalue: ARGV[6] value
if not me then return 0 end
if dir == '' then return 1 end -- nobody can watch it
if ARGV[6] == '' then
  redis.call('HDEL', key, 'v' .. id)
else
  redis.call('HSET', key, 'v' .. id, ARGV[6])
end
changed = true
save()
return 1
