-- The line of one name, shared by the scripts that follow it. It lives in one hash:
--   t         the last token
--   r         the claim released last, so that a release whose answer was lost says the same again
--   h<name>   the holders, a record each: "\n<id> <weight> <capacity> <end> <token>"
--   q<name>   the waiters in order: "\n<id> <weight> <capacity> <end> <client>"; weight 0 marks a claim that was
--             released before it came, and is refused
--   v<id>     the value of a claim
-- An end is an instant of this server's clock in microseconds. Numbers stay below 2^53, where Lua's are exact.
-- Holders are parsed at every request, waiters only as far as the grant rule looks.
local ALL, EXACT, KEEP_MS = 2147483647, 9007199254740992, 7200000
local LOOKERS = 8 -- so many waiters look when a claim ahead ends; the others at their next renewal
local key, name, id, push, dir, counted = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5] == '1'
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local fields = redis.call('HMGET', key, 't', 'h' .. name, 'q' .. name)
local last, queue = tonumber(fields[1] or '0'), fields[3] or ''
local held, me = {}, nil -- records of holders; my own
local used, room, soonest = 0, ALL, EXACT
local changed, gone = false, {}

local function corrupt() error('CORRUPT data in ' .. key) end

if not last or last ~= last or last < 0 or last >= EXACT then corrupt() end

local function text(n) return string.format('%.0f', n) end

-- record returns where the record at the given place ends, and its fields.
local function record(line, at)
  local _, stop, rid, w, c, x, y = string.find(line, '^\n(%w+) (%d+) (%d+) (%d+) (%w+)', at)
  if not stop then corrupt() end
  w, c, x = tonumber(w), tonumber(c), tonumber(x)
  if w > c or c > ALL or x >= EXACT then corrupt() end
  return stop, { id = rid, w = w, c = c, x = x, y = y }
end

local function write(r) return '\n' .. r.id .. ' ' .. text(r.w) .. ' ' .. text(r.c) .. ' ' .. text(r.x) .. ' ' .. r.y end

local function hold(r)
  held[#held + 1] = r
  used, room, soonest = used + r.w, math.min(room, r.c), math.min(soonest, r.x)
end

do
  local line, at = fields[2] or '', 1
  while at <= #line do
    local stop, r = record(line, at)
    local token = tonumber(r.y)
    if not token or token < 1 or token > last then corrupt() end
    if r.x > now then
      hold(r)
      if r.id == id then me = r end
    else
      changed = true
      gone[#gone + 1] = 'v' .. r.id
    end
    at = stop + 1
  end
end

-- find returns where my record among the waiters starts and ends, and its fields.
local function find()
  local at = string.find(queue, '\n' .. id .. ' ', 1, true)
  if at then return at, record(queue, at) end
end

local function replace(at, stop, with) queue = string.sub(queue, 1, at - 1) .. with .. string.sub(queue, stop + 1) end

-- grant lets waiters in as long as they fit. One that cannot be told, since nobody receives on its channel, is passed
-- over: it asks again by itself when it is back.
local function grant()
  local at, kept = 1, ''
  while at <= #queue do
    local stop, r = record(queue, at)
    if r.x <= now then
      gone[#gone + 1] = 'v' .. r.id
    elseif r.w == 0 then
      kept = kept .. string.sub(queue, at, stop)
    elseif r.w > math.min(room, r.c) - used then
      break
    else
      local token = math.max(last + 1, now)
      if r.id == id or redis.call('PUBLISH', push .. r.y, r.id .. ' ' .. text(token)) > 0 or not counted then
        last, changed = token, true
        r.y = text(token)
        hold(r)
        if r.id == id then me = r end
      else
        kept = kept .. string.sub(queue, at, stop)
      end
    end
    at = stop + 1
  end
  queue = kept .. string.sub(queue, at)
end

-- purge drops the dead among all waiters, so that a line which does not move stays as short as its live waiters.
local function purge()
  local at, kept = 1, {}
  while at <= #queue do
    local stop, r = record(queue, at)
    if r.x > now then kept[#kept + 1] = string.sub(queue, at, stop) else gone[#gone + 1] = 'v' .. r.id end
    at = stop + 1
  end
  queue = table.concat(kept)
end

local function save()
  local set, del = { 't', text(last) }, gone
  local parts = {}
  for i, r in ipairs(held) do parts[i] = write(r) end
  local function put(field, value, was)
    if value ~= '' then
      if value ~= was then
        set[#set + 1] = field
        set[#set + 1] = value
      end
    elseif was then
      del[#del + 1] = field
    end
  end
  put('h' .. name, table.concat(parts), fields[2])
  put('q' .. name, queue, fields[3])
  redis.call('HSET', key, unpack(set))
  for i = 1, #del, 1000 do redis.call('HDEL', key, unpack(del, i, math.min(i + 999, #del))) end
  redis.call('PEXPIRE', key, KEEP_MS)
  if changed and dir ~= '' then redis.call('PUBLISH', dir, '') end
end

-- look returns in how many microseconds a claim ahead of mine may have ended, or 0 where others look first.
local function look()
  local at, ahead = 1, 0
  while at <= #queue and ahead < LOOKERS do
    local stop, r = record(queue, at)
    if r.id == id then return soonest - now end
    if r.w > 0 then
      ahead = ahead + 1
      soonest = math.min(soonest, r.x)
    end
    at = stop + 1
  end
  return 0
end

local GONE, QUEUED, HELD = 1, 2, 3

-- state answers where my claim stands.
local function state()
  if me then return { HELD, me.y, 0 } end
  if find() then return { QUEUED, '0', look() } end
  return { GONE, '0', 0 }
end
