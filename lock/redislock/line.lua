-- line: the holders and waiters, and the rule that lets waiters in. Holders are read at every request that gets here,
-- waiters only as far as the rule looks.
local LOOKERS = 8 -- so many waiters look when a claim ahead ends; the others at their next renewal
local LOOK_MAX = 3600000000 -- no claim lives longer
local PURGE_BYTES, PURGE_ODDS = 8192, 8 -- about 100 waiters; once in so many requests that have to wait
local held, me = {}, nil -- the live holders; my record among them
local used, room, soonest = 0, ALL, EXACT
local changed, set, gone, told = false, {}, {}, {} -- what save writes, deletes and publishes

-- record returns the record of a line at a place, and where it stops.
local function record(line, at)
  local _, stop, rid, w, c, y = string.find(line, '^\n(%w+) (%d+) (%d+) (%w+)', at)
  if not stop then corrupt() end
  w, c = tonumber(w), tonumber(c)
  if w > c or c > ALL then corrupt() end
  return { id = rid, w = w, c = c, y = y, stop = stop }
end

local function write(r) return '\n' .. r.id .. ' ' .. text(r.w) .. ' ' .. text(r.c) .. ' ' .. r.y end

local function records(line)
  local all, at = {}, 1
  while at <= #line do
    local r = record(line, at)
    all[#all + 1] = r
    at = r.stop + 1
  end
  return all
end

-- number reads an end.
local function number(x)
  local n = tonumber(x or '0')
  if not n or n ~= n or n >= EXACT then corrupt() end
  return n
end

local function ends(r)
  if r.id == id then return mine end
  return number(redis.call('HGET', key, 'x' .. r.id))
end

-- alive splits records into the live, with their ends, and the dead, which are dropped.
local function alive(all)
  local live = {}
  for from = 1, #all, 1000 do
    local names = {}
    for i = from, math.min(from + 999, #all) do names[#names + 1] = 'x' .. all[i].id end
    for i, x in ipairs(redis.call('HMGET', key, unpack(names))) do
      local r = all[from + i - 1]
      r.x = r.id == id and mine or number(x)
      if r.x > now then
        live[#live + 1] = r
      else
        gone[#gone + 1] = 'x' .. r.id
        gone[#gone + 1] = 'v' .. r.id
      end
    end
  end
  return live
end

local function hold(r)
  held[#held + 1] = r
  used, room, soonest = used + r.w, math.min(room, r.c), math.min(soonest, r.x)
  if r.id == id then me = r end
end

do
  local all = records(holders)
  for _, r in ipairs(all) do
    local token = tonumber(r.y)
    if not token or token < 1 or token > last then corrupt() end
  end
  for _, r in ipairs(alive(all)) do hold(r) end
  changed = #held < #all
end

-- find returns where my record among the waiters starts, and the record.
local function find()
  local at = string.find(queue, '\n' .. id .. ' ', 1, true)
  if at then return at, record(queue, at) end
end

local function cut(at, r) queue = string.sub(queue, 1, at - 1) .. string.sub(queue, r.stop + 1) end

-- grant lets waiters in as long as they fit. One whose client nobody hears is passed over: it asks again by itself when it
-- is back. What is told to the others is published once it is written.
local function grant()
  local at, kept, deaf = 1, {}, {}
  while at <= #queue do
    local r = record(queue, at)
    r.x = ends(r)
    if r.x <= now then
      gone[#gone + 1] = 'x' .. r.id
      gone[#gone + 1] = 'v' .. r.id
    elseif r.w == 0 then
      kept[#kept + 1] = string.sub(queue, at, r.stop)
    elseif r.w > math.min(room, r.c) - used then
      break
    else
      local client = push .. r.y
      if counted and r.id ~= id and deaf[client] == nil then
        local heard = redis.pcall('PUBSUB', 'NUMSUB', client) -- a user may not be allowed to ask
        deaf[client] = not heard.err and tonumber(heard[2]) == 0
      end
      if r.id ~= id and deaf[client] then
        kept[#kept + 1] = string.sub(queue, at, r.stop)
      else
        last, changed = math.max(last + 1, now), true
        r.y = text(last)
        if r.id ~= id then told[#told + 1] = { client, r.id .. ' ' .. r.y } end
        hold(r)
      end
    end
    at = r.stop + 1
  end
  if at > 1 then queue = table.concat(kept) .. string.sub(queue, at) end
end

-- purge drops the dead among all waiters, so that a line which does not move stays about as long as its live waiters. It
-- costs time in proportion to the line: a short line does without, a long one is purged now and then.
local function purge()
  if #queue < PURGE_BYTES or now % PURGE_ODDS > 0 then return end
  local parts = {}
  for i, r in ipairs(alive(records(queue))) do parts[i] = write(r) end
  queue = table.concat(parts)
end

-- put writes a field that has changed, and deletes one that has become empty.
local function put(field, value, was)
  if value == was then return end
  if value == '' then
    gone[#gone + 1] = field
    return
  end
  set[#set + 1] = field
  set[#set + 1] = value
end

-- save writes everything, and only then tells anyone: a server that refuses the write has told nobody. The first command
-- is one that a full server allows, and with it the others.
local function save()
  local parts = {}
  for i, r in ipairs(held) do parts[i] = write(r) end
  put('t', text(last), fields[1] or '')
  put('h' .. name, table.concat(parts), holders)
  put('q' .. name, queue, fields[4] or '')
  local kept = keep()
  for i = 1, #gone, 1000 do redis.call('HDEL', key, unpack(gone, i, math.min(i + 999, #gone))) end
  if #set > 0 then redis.call('HSET', key, unpack(set)) end
  if kept == 0 then keep() end -- the key is new
  for _, m in ipairs(told) do redis.pcall('PUBLISH', m[1], m[2]) end
  if changed then hint() end
end

-- look returns in how many microseconds a claim ahead of mine may have ended, or 0 where others look first.
local function look()
  local ahead, at = {}, 1
  while at <= #queue and #ahead < LOOKERS do
    local r = record(queue, at)
    if r.id == id then
      for _, a in ipairs(ahead) do
        local x = ends(a)
        if x > now then soonest = math.min(soonest, x) end
      end
      return math.max(1, math.min(soonest - now, LOOK_MAX))
    end
    if r.w > 0 then ahead[#ahead + 1] = r end
    at = r.stop + 1
  end
  return 0
end

-- state answers where my claim stands.
local function state()
  if me then return { HELD, me.y, 0 } end
  local at, r = find()
  if at and r.w > 0 then return { QUEUED, '0', look() } end
  return { GONE, '0', 0 }
end
