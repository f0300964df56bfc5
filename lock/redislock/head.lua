-- head: what every script of a line starts with. The line of one name lives in one hash:
--   t         the last token
--   r         the claim released last, so that a release whose answer was lost says the same again
--   h<name>   the holders, a record each: "\n<id> <weight> <capacity> <end> <token>"
--   q<name>   the waiters in order: "\n<id> <weight> <capacity> <end> <client>"; weight 0 marks a claim that was
--             released before it came, and is refused
--   v<id>     the value of a claim in a directory
-- An end is an instant of this server's clock in microseconds. Numbers stay below 2^53, where Lua's are exact.
local ALL, EXACT, KEEP_MS = 2147483647, 9007199254740992, 7200000
local GONE, QUEUED, HELD = 1, 2, 3
local key, name, id, push, dir, counted = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local fields = redis.call('HMGET', key, 't', 'h' .. name, 'q' .. name)
local last, holders, queue = tonumber(fields[1] or '0'), fields[2] or '', fields[3] or ''

local function corrupt() error('CORRUPT data in ' .. key) end

if not last or last ~= last or last < 0 or last >= EXACT then corrupt() end

local function text(n) return string.format('%.0f', n) end
