-- A bucket. KEYS[1] the key; ARGV[1] the most tokens, [2] tokens per second, [3] how many to take, or below 0, to give.
-- Its value is "<level> <instant>": millionths of a token, and microseconds of this server's clock. A key that is not there
-- is a full bucket. Numbers stay below 2^53, where Lua's are exact.
local MILLION, SLACK_MS = 1000000, 60000
local full, rate, n = ARGV[1] * MILLION, tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * MILLION + clock[2]
local level, kept = full, redis.call('GET', KEYS[1])
if kept then
  local l, at = string.match(kept, '^(%d+) (%d+)$')
  if not l then error('CORRUPT data in ' .. KEYS[1]) end
  -- A clock that has stepped back brings nothing, and the bucket fills from where it is now.
  level = math.min(full, l + math.max(0, now - at) * rate)
end
local got = math.max(0, math.min(n, math.floor(level / MILLION)))
level = math.min(full, level - (n < 0 and n or got) * MILLION)
local value = string.format('%.0f %.0f', level, now)
if rate == 0 then
  redis.call('SET', KEYS[1], value) -- never full again by itself, so it must not be forgotten
else
  redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', math.ceil((full - level) / rate / 1000) + SLACK_MS))
end
return got
