-- group: what the scripts of a consumer share. ARGV[2] group, [3] consumer, whose name begins with its lease in milliseconds
-- and a dot.
local POOL = '0.pool' -- has what was given back
local group, me = ARGV[2], ARGV[3]
local gkey = base .. ':g:' .. group

local function leaseOf(name) return tonumber(string.match(name, '^(%d+)%.')) end

local lease = leaseOf(me)

redis.call('PERSIST', base) -- the first write is one that a full server allows, and with it the others

-- token returns a new one, greater than all before, also if those were lost.
local function token()
  local t = text(math.max((tonumber(redis.call('HGET', gkey, 't')) or 0) + 1, now))
  redis.call('HSET', gkey, 't', t)
  return t
end

-- pending returns what the group's list says of a message: its consumer, idle milliseconds, and count.
local function pending(i, id)
  local reply = redis.pcall('XPENDING', stream(i), group, id, id, 1)
  local p = not reply.err and reply[1]
  if p then return p[2], p[3], p[4] end
end

-- mine reports whether a message is still the one that was handed out to this consumer, and for how long it was.
local function mine(i, id, count)
  local who, idle, n = pending(i, id)
  return who == me and n == tonumber(count), idle
end

-- owner returns the owner of a partition, the end of its lease, and its token.
local function owner(i)
  local till, t, who = string.match(redis.call('HGET', gkey, 'o' .. i) or '', '^(%d+) (%d+) (.+)$')
  return who, tonumber(till), t
end

local function own(i, t)
  redis.call('HSET', gkey, 'o' .. i, text(now + lease * 1000) .. ' ' .. t .. ' ' .. me)
end

-- assign renews this consumer's membership and partitions, gives up those above its share once they are settled, and takes
-- free ones below it. It returns the tokens of its partitions, by partition; one that is to be given up has ''.
local function assign()
  redis.call('HSET', gkey, 'm' .. me, text(now + lease * 1000))
  local live, names = {}, {}
  local fields = redis.call('HGETALL', gkey)
  for at = 1, #fields, 2 do
    local who = string.match(fields[at], '^m(.*)$')
    if who and tonumber(fields[at + 1]) > now then
      live[who] = true
      names[#names + 1] = who
    elseif who then
      redis.call('HDEL', gkey, fields[at], 'r' .. who)
    end
  end
  table.sort(names)
  local share = math.floor(parts / #names)
  for at, who in ipairs(names) do
    if who == me and at <= parts % #names then share = share + 1 end
  end
  local has, tokens, free = 0, {}, {}
  for i = 0, parts - 1 do
    local who, till, t = owner(i)
    if who == me and has < share then
      own(i, t)
      has, tokens[i] = has + 1, t
    elseif who == me then
      local left = redis.pcall('XPENDING', stream(i), group, '-', '+', 1, me)
      if left.err or #left == 0 then
        redis.call('HDEL', gkey, 'o' .. i)
      else
        own(i, t)
        tokens[i] = ''
      end
    elseif not who or till <= now or not live[who] then
      free[#free + 1] = i
    end
  end
  for _, i in ipairs(free) do
    if has < share then
      local t = token()
      own(i, t)
      has, tokens[i] = has + 1, t
    end
  end
  return tokens
end
