-- A fenced write. KEYS[1] the key, [2] its mark; ARGV[1] token, [2] 'set' or 'del', [3] value, [4] TTL in ms, 0 for none
local mark, token = redis.call('GET', KEYS[2]), tonumber(ARGV[1])
if mark then
  local seen = tonumber(mark)
  if not seen or seen ~= seen or seen >= 9007199254740992 then error('CORRUPT data in ' .. KEYS[2]) end
  if token < seen then return mark end
end
redis.call('SET', KEYS[2], ARGV[1])
if ARGV[2] == 'del' then
  redis.call('DEL', KEYS[1])
elseif ARGV[4] == '0' then
  redis.call('SET', KEYS[1], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
end
return ''
