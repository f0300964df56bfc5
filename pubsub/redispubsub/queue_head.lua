-- head: what every script of a queue starts with. KEYS[1] is the hash of a topic:
--   p      how many partitions it has, 0 for none
--   l<i>   the ID of the last message of partition i: <milliseconds of this server's clock>-<number, without a gap>
--   s      the number of the last delayed message
-- Beside it, with the same hash tag:
--   :s:<i>      the messages of partition i, a stream; fields i ID, k key, h header, d data, o the one group that it is for
--   :o:<i>      of those with an o, "<number> <group>" by number
--   :ids        the IDs that are remembered, by when they were published in microseconds
--   :d          the numbers of delayed messages, by when they are due in microseconds
--   :m          delayed messages by number
--   :g:<group>  a group: t the last token, f when all was looked at, m<consumer> the end of a consumer's membership,
--               r<consumer> the number of its last request, o<i> the owner of partition i, "<end> <token> <consumer>"
--   :x:<group>  its dead letters, a stream
-- Numbers stay below 2^53, where Lua's are exact. ARGV[1] is how many partitions the caller knows of.
local base, parts = KEYS[1], tonumber(ARGV[1])
local streams = math.max(parts, 1)
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

local known = redis.call('HGET', base, 'p')
if known and tonumber(known) ~= parts then return redis.error_reply('PARTITIONS ' .. known) end

-- text writes a whole number. Lua's own way, which is faster, has 14 digits; redis.call writes each number in full.
local function text(n)
  if n < 1e14 then return n .. '' end
  return string.format('%.0f', n)
end

local function stream(i) return base .. ':s:' .. i end

-- number returns the second half of an ID.
local function number(id) return tonumber(string.match(id, '%-(%d+)$')) end

-- named turns a reply of names and values into a table.
local function named(flat)
  local t = {}
  for at = 1, #flat, 2 do t[flat[at]] = flat[at + 1] end
  return t
end

-- infos returns what XINFO tells of the groups or consumers of a stream, nothing where there is none.
local function infos(...)
  local reply = redis.pcall('XINFO', ...)
  if reply.err then return nil end
  local all = {}
  for at, flat in ipairs(reply) do all[at] = named(flat) end
  return all
end

local tops = {} -- by partition, the last ID

-- top returns the two halves of the last ID of a partition: of the hash, or of the stream if the hash was lost.
local function top(i, lost)
  if not tops[i] or lost then
    local id = not lost and redis.call('HGET', base, 'l' .. i)
    if not id then
      local info = redis.pcall('XINFO', 'STREAM', stream(i))
      id = info.err and '0-0' or named(info)['last-generated-id']
    end
    local ms, n = string.match(id, '^(%d+)%-(%d+)$')
    tops[i] = { ms = tonumber(ms), n = tonumber(n) }
  end
  return tops[i]
end

-- append puts a message at the end of a partition.
local function append(i, id, key, header, data, only)
  local fields = { 'i', id }
  local function field(name, value)
    if value ~= '' then
      fields[#fields + 1] = name
      fields[#fields + 1] = value
    end
  end
  field('k', key)
  field('h', header)
  field('d', data)
  field('o', only)
  local t, added = nil, nil
  for _, lost in ipairs({ false, true }) do
    t = top(i, lost)
    t.ms, t.n = math.max(t.ms, math.floor(now / 1000)), t.n + 1
    added = redis.pcall('XADD', stream(i), text(t.ms) .. '-' .. text(t.n), unpack(fields))
    if not added.err or not string.find(added.err, 'equal or smaller', 1, true) then break end
  end
  if added.err then error(added.err) end
  if only ~= '' then redis.call('ZADD', base .. ':o:' .. i, t.n, text(t.n) .. ' ' .. only) end
end

-- save writes where the partitions end.
local function save()
  local fields = {}
  for i, t in pairs(tops) do
    fields[#fields + 1] = 'l' .. i
    fields[#fields + 1] = text(t.ms) .. '-' .. text(t.n)
  end
  if #fields > 0 then redis.call('HSET', base, unpack(fields)) end
end

-- ripen appends what is due, up to 1000 messages, and returns in how many microseconds the next one is, -1 for none.
local function ripen()
  local due = redis.call('ZRANGE', base .. ':d', '-inf', now, 'BYSCORE', 'LIMIT', 0, 1000)
  for _, seq in ipairs(due) do
    local packed = redis.call('HGET', base .. ':m', seq)
    if packed then
      local m = cmsgpack.unpack(packed)
      append(m[1], m[2], m[3], m[4], m[5], '')
    end
    redis.call('ZREM', base .. ':d', seq)
    redis.call('HDEL', base .. ':m', seq)
  end
  if #due > 0 then save() end
  local first = redis.call('ZRANGE', base .. ':d', 0, 0, 'WITHSCORES')
  return first[2] and math.max(0, tonumber(first[2]) - now) or -1
end

-- trim drops from a partition what all groups have settled, and what is older than age milliseconds, 0 for none.
local function trim(i, how, age)
  local s, least = stream(i), nil
  local function cut(id)
    if how == '=' then return redis.call('XTRIM', s, 'MINID', '=', id) end
    redis.call('XTRIM', s, 'MINID', '~', id, 'LIMIT', 0)
  end
  for _, g in ipairs(infos('GROUPS', s) or {}) do
    local first = redis.call('XPENDING', s, g.name, '-', '+', 1)
    local id = first[1] and first[1][1]
    if not id then
      local ms, n = string.match(g['last-delivered-id'], '^(%d+)%-(%d+)$')
      id = ms .. '-' .. text(tonumber(n) + 1)
    end
    if not least or number(id) < number(least) then least = id end
  end
  if least then
    cut(least)
    redis.call('ZREMRANGEBYSCORE', base .. ':o:' .. i, '-inf', '(' .. text(number(least)))
  end
  if age == 0 then return end
  cut(text(math.floor(now / 1000) - age))
  local first = redis.call('XRANGE', s, '-', '+', 'COUNT', 1)[1]
  local before = first and '(' .. first[1] or '+'
  for _, g in ipairs(infos('GROUPS', s) or {}) do
    repeat -- what was handed out is not the group's any more
      local ids = {}
      for at, p in ipairs(redis.call('XPENDING', s, g.name, '-', before, 1000)) do ids[at] = p[1] end
    until #ids == 0 or redis.call('XACK', s, g.name, unpack(ids)) < #ids
  end
end
