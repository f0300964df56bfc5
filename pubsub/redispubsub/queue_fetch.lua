-- fetch: ARGV[4] how many messages to take, [5] the age in milliseconds at which messages are dropped, 0 for none, [6] '1' to
-- trim, [7] the number of the request, then partitions and IDs of messages whose hand-out to this consumer was lost. It returns in how many microseconds the next
-- delayed message is due, -1 for none, the group's last token, the messages, each with its partition, ID, count, token, and
-- fields, and partitions of this consumer that have no more, with their last IDs. Without partitions, new messages are read
-- by the caller.
local FIRST = 8
local STALE_MS = 600000 -- a consumer that has nothing is forgotten after so long, or two leases
local n = tonumber(ARGV[4])
if parts > 0 then -- one that comes after a later one would take what nobody waits for
  if tonumber(ARGV[7]) <= (tonumber(redis.call('HGET', gkey, 'r' .. me)) or 0) then return redis.error_reply('LATE request') end
  redis.call('HSET', gkey, 'r' .. me, ARGV[7])
end
local tokens = parts > 0 and assign() or {}
local due = ripen()
local out, waits = {}, {}
local again -- the token of what is handed out once more

local lost = {}
for at = FIRST, #ARGV, 2 do
  local i = tonumber(ARGV[at])
  lost[i] = lost[i] or {}
  lost[i][#lost[i] + 1] = ARGV[at + 1]
end

-- Whoever was heard of within its lease looks at its own messages. Now and then, all are looked at.
local full = parts > 0 or now - (tonumber(redis.call('HGET', gkey, 'f')) or 0) > lease * 500
if full and parts == 0 then redis.call('HSET', gkey, 'f', text(now)) end

local function consumers(i)
  local all = infos('CONSUMERS', stream(i), group)
  if all then return all end
  redis.call('XGROUP', 'CREATE', stream(i), group, '0', 'MKSTREAM') -- the server has lost it
  return {}
end

-- claimable returns what may be handed out again, up to max messages, the oldest first, and whether others have more.
local function claimable(i, max)
  local s, found, others = stream(i), {}, 0
  for _, id in ipairs(lost[i] or {}) do
    local who, _, count = pending(i, id)
    if who == me then found[#found + 1] = { id, count } end
  end
  for _, c in ipairs(consumers(i)) do
    local held = leaseOf(c.name) or lease
    if c.name ~= me then others = others + c.pending end
    if c.pending == 0 and c.name ~= me and c.idle > math.max(STALE_MS, 2 * held) then
      redis.call('XGROUP', 'DELCONSUMER', s, group, c.name)
    elseif c.pending > 0 and (full or c.name == me or c.idle >= held) then
      for _, p in ipairs(redis.call('XPENDING', s, group, 'IDLE', held, '-', '+', max, c.name)) do
        found[#found + 1] = { p[1], p[4] }
        if c.name ~= me then others = others - 1 end
      end
    end
  end
  table.sort(found, function(a, b) return number(a[1]) < number(b[1]) end)
  return found, others > 0
end

local function give(i, entry, count, t) out[#out + 1] = { i, entry[1], count, t, entry[2] } end

-- claim hands out again what it may, and reports whether that was all.
local function claim(i)
  local found, others = claimable(i, n - #out)
  local ids, counts, more = {}, {}, others
  for _, f in ipairs(found) do
    if #ids == n - #out then
      more = true
    elseif not counts[f[1]] then
      ids[#ids + 1], counts[f[1]] = f[1], f[2] + 1
    end
  end
  if #ids == 0 then return not more end
  again = parts > 0 and tokens[i] or again or token()
  for _, entry in ipairs(redis.call('XCLAIM', stream(i), group, me, 0, unpack(ids))) do
    give(i, entry, counts[entry[1]], again)
  end
  return not more
end

if parts == 0 then
  claim(0)
else
  local from = now % parts -- none of them waits for another one that is busy
  for step = 0, parts - 1 do
    local i = (from + step) % parts
    if tokens[i] and tokens[i] ~= '' and #out < n and claim(i) and #out < n then
      local reply = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', n - #out, 'STREAMS', stream(i), '>')
      if reply then
        for _, entry in ipairs(reply[1][2]) do give(i, entry, 1, tokens[i]) end
      else
        waits[#waits + 1] = i
        waits[#waits + 1] = redis.call('HGET', base, 'l' .. i) or '0'
      end
    end
  end
end
if ARGV[6] == '1' then
  for i = 0, streams - 1 do trim(i, '~', tonumber(ARGV[5])) end
end
return { due, redis.call('HGET', gkey, 't') or token(), out, waits }
