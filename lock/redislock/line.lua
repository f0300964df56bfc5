-- line: the holders and waiters, and the rule that lets waiters in. Holders are parsed at every request, waiters only as
-- far as the grant rule looks.
local LOOKERS = 8 -- so many waiters look when a claim ahead ends; the others at their next renewal
local held, me = {}, nil -- records of holders; my own
local used, room, soonest = 0, ALL, EXACT
local changed, gone, extra = false, {}, nil -- whether watchers must look; fields to delete; a claim released now

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
  local at = 1
  while at <= #holders do
    local stop, r = record(holders, at)
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

-- put keeps a field as it is, sets it, or deletes it when it is empty.
local function put(set, field, value, was)
  if value == was then return end
  if value == '' then
    gone[#gone + 1] = field
  else
    set[#set + 1] = field
    set[#set + 1] = value
  end
end

local function save()
  local set, parts = { 't', text(last) }, {}
  for i, r in ipairs(held) do parts[i] = write(r) end
  put(set, 'h' .. name, table.concat(parts), holders)
  put(set, 'q' .. name, queue, fields[3] or '')
  if extra then put(set, 'r', extra, '') end
  redis.call('HSET', key, unpack(set))
  for i = 1, #gone, 1000 do redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone))) end
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

-- state answers where my claim stands.
local function state()
  if me then return { HELD, me.y, 0 } end
  if find() then return { QUEUED, '0', look() } end
  return { GONE, '0', 0 }
end
