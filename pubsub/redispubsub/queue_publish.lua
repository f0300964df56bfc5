-- publish: ARGV[2] dedupe window in microseconds, [3] delay in microseconds, [4] how many messages a partition keeps, [5] for
-- how many milliseconds, then for each message its partition, ID, key, header, and data. IDs are written last: what fails before
-- that may come again.
local FIRST, EACH = 6, 5
local window, delay, max, age = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local ids = base .. ':ids'
local total = (#ARGV - FIRST + 1) / EACH

local fresh, seen = {}, {}
for from = 0, total - 1, 1000 do
  local some = {}
  for m = from, math.min(from + 999, total - 1) do some[#some + 1] = ARGV[FIRST + m * EACH + 1] end
  for at, score in ipairs(redis.call('ZMSCORE', ids, unpack(some))) do
    local again = score and tonumber(score) > now - window
    if not again and not seen[some[at]] then
      seen[some[at]] = true
      fresh[#fresh + 1] = FIRST + (from + at - 1) * EACH
    end
  end
end
if #fresh == 0 then return 0 end

if delay > 0 then
  local n = redis.call('ZCARD', base .. ':d')
  if n + #fresh > max then return redis.error_reply('FULL ' .. n .. ' delayed messages of ' .. text(max)) end
else
  local adds = {}
  for _, at in ipairs(fresh) do adds[ARGV[at]] = (adds[ARGV[at]] or 0) + 1 end
  for i, n in pairs(adds) do
    if redis.call('XLEN', stream(i)) + n > max then
      trim(i, '=', age)
      local kept = redis.call('XLEN', stream(i))
      if kept + n > max then return redis.error_reply('FULL ' .. kept .. ' messages of ' .. text(max)) end
    end
  end
end

if not known then redis.call('HSET', base, 'p', parts) end
for _, at in ipairs(fresh) do
  if delay > 0 then
    local seq = string.format('%016.0f', redis.call('HINCRBY', base, 's', 1))
    redis.call('HSET', base .. ':m', seq, cmsgpack.pack({ ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4] }))
    redis.call('ZADD', base .. ':d', now + delay, seq)
  else
    append(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], '')
  end
end
save()

for from = 1, #fresh, 500 do
  local some = {}
  for m = from, math.min(from + 499, #fresh) do
    some[#some + 1] = now
    some[#some + 1] = ARGV[fresh[m] + 1]
  end
  redis.call('ZADD', ids, unpack(some))
end
-- About one of 16 messages takes away IDs that are too old, more of them than have come since, and few enough for the server to stay
-- quick.
if now % 16 < #fresh then
  local old = redis.call('ZCOUNT', ids, '-inf', now - window)
  if old > 0 then redis.call('ZREMRANGEBYRANK', ids, 0, math.min(old, 2 * #fresh + 100) - 1) end
end
if redis.call('PTTL', ids) < window / 1000 then redis.call('PEXPIRE', ids, math.ceil(window * 17 / 16000) + 1000) end
return #fresh
