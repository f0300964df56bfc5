-- setvalue: ARGV[6] value
if not me then return 0 end
if dir ~= '' then -- nobody can watch a bare name
  if ARGV[6] == '' then gone[#gone + 1] = 'v' .. id end
  put('v' .. id, ARGV[6], '')
  changed = true
  save()
end
return 1
