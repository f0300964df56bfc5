-- stats: ARGV[2] group. IDs count the messages of a partition, so that nothing has to be read to know how many are between two.
local group = ARGV[2]
redis.call('PERSIST', base) -- a write that a full server allows, and with it the others
ripen()
local waiting, handed = 0, 0
for i = 0, streams - 1 do
  local s, after = stream(i), 0
  local left = redis.call('XLEN', s)
  for _, g in ipairs(infos('GROUPS', s) or {}) do
    if g.name == group then
      handed, after = handed + g.pending, number(g['last-delivered-id'])
      left = math.min(left, top(i).n - after)
      for _, c in ipairs(infos('CONSUMERS', s, group)) do
        if c.name == '0.pool' then
          handed, waiting = handed - c.pending, waiting + c.pending
        end
      end
    end
  end
  after = math.max(after, top(i).n - left)
  for _, o in ipairs(redis.call('ZRANGE', base .. ':o:' .. i, '(' .. text(after), '+inf', 'BYSCORE')) do
    if string.match(o, ' (.*)$') ~= group then left = left - 1 end
  end
  waiting = waiting + left
end
return { waiting, handed, redis.call('ZCARD', base .. ':d'), redis.call('XLEN', base .. ':x:' .. group) }
