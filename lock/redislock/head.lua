-- head: what every script of a line starts with. The line of one name lives in one hash, with the claims of its directory:
--   t         the last token
--   r         the claim released last: a release whose answer was lost says the same again, a late acquire is refused
--   h<name>   the holders, a record each: "\n<id> <weight> <capacity> <token>"
--   q<name>   the waiters in order: "\n<id> <weight> <capacity> <client>"; weight 0 marks a claim that was released
--             before it came, and is refused
--   x<id>     the end of a claim, an instant of this server's clock in microseconds; a claim without one is dead
--   v<id>     the value of a claim in a directory
-- Numbers stay below 2^53, where Lua's are exact.
local ALL, EXACT, KEEP_MS = 2147483647, 9007199254740992, 7200000
local GONE, QUEUED, HELD = 1, 2, 3
local key, name, id, push, dir, counted = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local fields = redis.call('HMGET', key, 't', 'r', 'h' .. name, 'q' .. name, 'x' .. id)
local last, released, holders, queue = tonumber(fields[1] or '0'), fields[2], fields[3] or '', fields[4] or ''
local mine = tonumber(fields[5] or '0') -- when my claim ends

local function corrupt() error('CORRUPT data in ' .. key) end

if not last or last ~= last or last < 0 or last >= EXACT or not mine then corrupt() end

local function text(n) return string.format('%.0f', n) end

-- keep makes the key outlive its claims and, where the clock has stepped back, the last token.
local function keep() return redis.call('PEXPIRE', key, text(KEEP_MS + math.max(0, last - now) / 1000)) end

-- hint tells watchers to look. What cannot be published is found at their next look: that must not fail what was done.
local function hint()
  if dir ~= '' then redis.pcall('PUBLISH', dir, '') end
end
