"""What Redis does for the open names of hosts, each script in one atomic step.

Each host has a hash of its names, and each name that another host took over has a key that says which; `r|` in front
of the scale set's id means reserved, `d|` delivered.
"""

__all__ = ["CLAIM", "MARK", "TAKE", "UPLOAD"]

_OURS = """
local function hash(key)
  if type(redis.pcall('HLEN', key)) == 'table' then redis.call('DEL', key) end
  return key
end
local function owner(taken, name)
  local host = redis.pcall('GET', taken .. ':' .. name)
  return type(host) == 'string' and host
end
"""
"""What is of another type is none of ours, and counts as absent."""

_KEEP = """
for index = 3, #ARGV, 2 do
  local by = owner(taken, ARGV[index])
  if by and by ~= me then
    table.insert(lost, ARGV[index])
  else
    redis.call('HSET', names, ARGV[index], ARGV[index + 1])
  end
end
redis.call('PEXPIRE', names, ttl)
"""
"""Keep names with what they are, but for those that another host has taken over: these are `taken`."""

UPLOAD = (
    _OURS
    + """
local names, taken, me, ttl = hash(KEYS[1]), KEYS[2], ARGV[1], ARGV[2]
local told, lost, found = {}, {}, {}
for index = 3, #ARGV, 2 do told[ARGV[index]] = true end
local before = redis.call('HGETALL', names)
redis.call('DEL', names)
for index = 1, #before, 2 do
  local name, value = before[index], before[index + 1]
  if not told[name] and owner(taken, name) == me then
    redis.call('HSET', names, name, value)
    table.insert(found, name)
    table.insert(found, value)
  end
end
"""
    + _KEEP
    + "return {lost, found}"
)
"""Replace a host's open names; return those that another host has taken over meanwhile, and those that this one took
over without hearing of it."""

MARK = (
    _OURS
    + """
local names, taken, me, ttl, lost = hash(KEYS[1]), KEYS[2], ARGV[1], ARGV[2], {}
"""
    + _KEEP
    + "return lost"
)
"""Mark names as delivered; return those that another host has taken over meanwhile, because this one was silent."""

CLAIM = (
    _OURS
    + """
local from, to, taken, owners = hash(KEYS[1]), hash(KEYS[2]), KEYS[3], KEYS[4]
local dead, me, beats, ttl, most = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
if redis.call('HGET', owners, dead) ~= beats then return {} end
local values, moved, left = redis.call('HGETALL', from), {}, 0
local reports = redis.call('HEXISTS', from, '!') == 1
for index = 1, #values, 2 do
  local name, value = values[index], values[index + 1]
  local by = owner(taken, name)
  if #moved >= most * 2 then
    left = left + 1
  elseif name == '!' or (string.sub(value, 1, 1) == 'd' and not reports) or (by and by ~= dead) then
    -- Not ours to touch, or somebody's already; the mark itself goes with the last name.
    if name ~= '!' then redis.call('HDEL', from, name) end
  else
    redis.call('HDEL', from, name)
    redis.call('SET', taken .. ':' .. name, me, 'PX', ttl)
    redis.call('HSET', to, name, value)
    table.insert(moved, name)
    table.insert(moved, value)
  end
end
redis.call('PEXPIRE', to, ttl)
if left == 0 then
  redis.call('DEL', from)
  redis.call('HDEL', owners, dead)
end
return moved
"""
)
"""Move the names of a host that fell silent to another one, unless it has beaten since; each name to one host only."""

TAKE = (
    _OURS
    + """
local taken, names, me, ttl, mine = KEYS[1], hash(KEYS[2]), ARGV[1], ARGV[2], {}
for index = 3, #ARGV, 2 do
  if not owner(taken, ARGV[index]) then
    redis.call('SET', taken .. ':' .. ARGV[index], me, 'PX', ttl)
    redis.call('HSET', names, ARGV[index], ARGV[index + 1])
    table.insert(mine, ARGV[index])
  end
end
redis.call('PEXPIRE', names, ttl)
return mine
"""
)
"""Take names found in a journal on disk, unless another host has taken them; return those that are ours now."""
