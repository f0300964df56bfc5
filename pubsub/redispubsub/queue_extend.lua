-- extend: ARGV[4] and on: for each message its partition, ID, and count. It returns 1 for each that has a fresh lease, else 0.
local kept = {}
for at = 4, #ARGV, 3 do
  local i, id = ARGV[at], ARGV[at + 1]
  local still, idle = mine(i, id, ARGV[at + 2])
  still = still and idle < lease and #redis.call('XCLAIM', stream(i), group, me, 0, id, 'IDLE', 0, 'JUSTID') > 0
  kept[#kept + 1] = still and 1 or 0
end
if parts > 0 then assign() end
return kept
