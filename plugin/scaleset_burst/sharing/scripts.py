"""What Redis does for the hosts of a scope, each script in one atomic step and by the server's clock (Lua 5.1).

All times are milliseconds of the server. The state of the limits:

- `meta`: a hash; `epoch` names this life of the data, `settles` is when grants begin, `seen` what hosts remember of it,
  `sizes` how large the other four were: where one was evicted or cut, all of them are as good as lost, and begin anew
- `hosts`: a sorted set, host -> end of its lease
- `state`: a hash, for each host: `sum:` used in the window, `held:` granted and not settled, `prom:` promised for the
  case that Redis became unavailable, `want:` wanted and not granted, `busy:` whether anything is in flight or waiting
- `spent`, `counts`: what leaves the window when, in buckets of a 300th of the window
- `pause`: until when the service forbade everything; `probe`: which host finds out whether it is over
"""

__all__ = ["COUNT", "FORGET", "HEARTBEAT", "JOIN", "LEARN", "LEAVE"]

_COMMON = """
local meta, hosts, state, spent = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local counts, pause, probe, owners = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local me, window, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local bucket = math.max(1, math.floor(window / 300))

local function number(field) return tonumber(redis.call('HGET', state, field) or '0') end

local function spend(host, at, count)
  if count <= 0 then return end
  at = math.ceil(at / bucket) * bucket
  local member = string.format('%.0f|%s', at, host)
  redis.call('ZADD', spent, at, member)
  redis.call('HINCRBY', counts, member, count)
  redis.call('HINCRBY', state, 'sum:' .. host, count)
end

local function forget(member)
  local host = string.match(member, '|(.*)$')
  local count = tonumber(redis.call('HGET', counts, member) or '0')
  if redis.call('HINCRBY', state, 'sum:' .. host, -count) <= 0 then redis.call('HDEL', state, 'sum:' .. host) end
  redis.call('HDEL', counts, member)
  redis.call('ZREM', spent, member)
end

local function away(host)
  redis.call('HDEL', state, 'held:' .. host, 'prom:' .. host, 'want:' .. host, 'busy:' .. host)
  redis.call('ZREM', hosts, host)
end

local function expire()
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', spent, '-inf', now)) do forget(member) end
  for _, host in ipairs(redis.call('ZRANGEBYSCORE', hosts, '-inf', now)) do
    -- A host that fell silent may have used, or be using, all that it was given and promised.
    spend(host, now + window, number('held:' .. host) + number('prom:' .. host))
    away(host)
  end
end

local function sizes()
  return redis.call('ZCARD', hosts) .. '|' .. redis.call('HLEN', state) .. '|' ..
    redis.call('ZCARD', spent) .. '|' .. redis.call('HLEN', counts)
end

local function touch()
  -- Last in each script: what is written after it would look like a loss.
  redis.call('HSET', meta, 'sizes', sizes())
  for index = 1, 5 do redis.call('PEXPIRE', KEYS[index], ttl) end
  -- As long as names are kept: who comes back to an empty house must still find whose they are.
  redis.call('PEXPIRE', owners, 86400000)
end

local function step()
-- Buckets and hosts end by our hand only, so another size is a loss; hosts tell an empty ledger what they remember.
local expected = redis.call('HGET', meta, 'sizes') or '0|0|0|0'
if expected ~= sizes() then redis.call('DEL', meta, hosts, state, spent, counts) end
"""

_END = """
end

local done, reply = pcall(step)
if not done then
  -- What stands here is not ours, if an operation does not fit it: it is as good as lost.
  local text = type(reply) == 'table' and reply.err or tostring(reply)
  if not (text:find('WRONGTYPE') or text:find('not an integer') or text:find('not a valid float') or
    text:find('overflow') or text:find('attempt to') or text:find('bad argument') or
    text:find('invalid value')) then return redis.error_reply(text) end
  redis.call('DEL', unpack(KEYS))
  return step()
end
return reply
"""

JOIN = (
    _COMMON
    + """
local lease, settle, candidate = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local seen, held, keeps = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local journal, own = ARGV[10], tonumber(ARGV[11])
local epoch = redis.call('HGET', meta, 'epoch')
if not epoch then
  epoch = candidate
  redis.call('HSET', meta, 'epoch', epoch, 'settles', now + settle)
end
expire()
for _, member in ipairs(redis.call('ZRANGE', spent, 0, -1)) do
  if string.match(member, '|(.*)$') == me then forget(member) end
end
away(me)
redis.call('HSET', state, 'held:' .. me, held, 'prom:' .. me, keeps)
redis.call('ZADD', hosts, now + lease, me)
redis.call('HINCRBY', owners, me, 1)
-- Of what was registered before this process began, newest first, all but what is counted for the same journal.
local counted, known = redis.call('HGETALL', state), 0
for index = 1, #counted, 2 do
  if string.sub(counted[index], 1, 4 + #journal) == 'sum:' .. journal then known = known + counted[index + 1] end
end
local unknown = -known
for index = 13 + 2 * own, #ARGV, 2 do unknown = unknown + tonumber(ARGV[index]) end
for index = 12 + 2 * own, #ARGV, 2 do
  local count = math.min(unknown, tonumber(ARGV[index + 1]))
  spend(journal, now + tonumber(ARGV[index]), count)
  unknown = unknown - count
end
for index = 12, 11 + 2 * own, 2 do spend(me, now + tonumber(ARGV[index]), tonumber(ARGV[index + 1])) end
if now < tonumber(redis.call('HGET', meta, 'settles')) and seen > tonumber(redis.call('HGET', meta, 'seen') or '0') then
  redis.call('HSET', meta, 'seen', seen)
end
touch()
return epoch
"""
    + _END
)

HEARTBEAT = (
    _COMMON
    + """
local lease, limit, epoch = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local used, held, want, busy = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local told, cleared, probing, news = tonumber(ARGV[11]), ARGV[12] == '1', tonumber(ARGV[13]), ARGV[14]
local keeps = tonumber(ARGV[15])
expire()
if redis.call('HGET', meta, 'epoch') ~= epoch or not redis.call('ZSCORE', hosts, me) then
  touch()
  return {'join'}
end
spend(me, now + window, used)
redis.call('HSET', state, 'held:' .. me, held, 'want:' .. me, want, 'busy:' .. me, busy)
redis.call('ZADD', hosts, now + lease, me)
redis.call('HINCRBY', owners, me, 1)

if told > 0 then
  local before = tonumber(redis.call('GET', pause) or '0')
  redis.call('SET', pause, string.format('%.0f', math.max(before, now + told)), 'PX', math.floor(told + ttl))
  redis.call('DEL', probe)
  redis.call('PUBLISH', news, me .. ' pause')
elseif cleared then
  if redis.call('DEL', pause) == 1 then redis.call('PUBLISH', news, me .. ' pause') end
  redis.call('DEL', probe)
end
local phase, left = 'open', 0
local over = tonumber(redis.call('GET', pause) or '0')
if over > now then
  phase, left = 'told', over - now
elseif over > 0 then
  phase = 'wait'
  if redis.call('GET', probe) == me or
    (want > 0 and redis.call('SET', probe, me, 'NX', 'PX', probing)) then phase = 'probe' end
end

local live = redis.call('ZRANGE', hosts, 0, -1)
local settles = tonumber(redis.call('HGET', meta, 'settles'))
if now < settles then
  redis.call('HSET', state, 'prom:' .. me, keeps)
  touch()
  return {'settling', settles - now, #live, phase, left}
end

local values = redis.call('HGETALL', state)
local known, total = {}, 0
for index = 1, #values, 2 do
  known[values[index]] = tonumber(values[index + 1])
  if string.sub(values[index], 1, 4) == 'sum:' then total = total + known[values[index]] end
end
for _, host in ipairs(live) do total = total + (known['held:' .. host] or 0) end
local seen = tonumber(redis.call('HGET', meta, 'seen') or '0')
if seen > 0 then
  -- What hosts remember and nobody accounts for was used by one that did not come back.
  redis.call('HDEL', meta, 'seen')
  if seen > total then
    spend('?', now + window, seen - total)
    total = seen
  end
end

local working, wanted, promised = 0, 0, 0
for _, host in ipairs(live) do
  if (known['want:' .. host] or 0) > 0 or (known['busy:' .. host] or 0) > 0 then working = working + 1 end
  if host ~= me then
    wanted = wanted + (known['want:' .. host] or 0)
    promised = promised + (known['prom:' .. host] or 0)
  end
end
local fair = math.floor(limit / math.max(1, working))
local need = 0
for _, host in ipairs(live) do
  if host ~= me then
    local mine = (known['sum:' .. host] or 0) + (known['held:' .. host] or 0)
    need = need + math.max(0, math.min(known['want:' .. host] or 0, fair - mine))
  end
end
local least = math.floor(limit / 100 / #live)
local free = math.max(0, limit - total - promised)
local room = math.max(0, free - least)
local mine = (known['sum:' .. me] or 0) + held
-- In quarters, so that hosts which begin together each get something, whoever asks first.
local grant = math.min(want, room, math.ceil((limit - total) / 4), math.max(room - need, fair - mine))
grant = math.max(0, grant)
if phase ~= 'open' then grant = math.min(grant, phase == 'probe' and math.max(0, 1 - held) or 0) end
local promise = math.min(free - grant, least)
if wanted + want - grant <= 0 then
  promise = math.min(free - grant, least + math.floor((room - grant) / #live))
end
-- If this answer is lost, the host goes on with what it kept before: others get that only once it knows.
local kept = math.max(promise, math.min(keeps, free) - grant)
redis.call('HSET', state, 'held:' .. me, held + grant, 'want:' .. me, want - grant, 'prom:' .. me, kept)
if want > grant and promised > least * (#live - 1) and phase == 'open' then
  redis.call('PUBLISH', news, me .. ' want')
elseif wanted > 0 and (known['prom:' .. me] or 0) > kept then
  redis.call('PUBLISH', news, me .. ' room')
end
local first = redis.call('ZRANGE', spent, 0, 0, 'WITHSCORES')
local opens = first[2] and math.max(1, tonumber(first[2]) - now) or 1000
touch()
return {'granted', grant, promise, #live, working, opens, phase, left, total + grant}
"""
    + _END
)

LEAVE = (
    _COMMON
    + """
expire()
spend(me, now + window, tonumber(ARGV[4]))
away(me)
if redis.call('GET', probe) == me then redis.call('DEL', probe) end
if redis.call('HLEN', ARGV[5]) == redis.call('HEXISTS', ARGV[5], '!') then
  redis.call('DEL', ARGV[5])
  redis.call('HDEL', owners, me)
end
touch()
redis.call('PUBLISH', ARGV[6], me .. ' room')
return 1
"""
    + _END
)
"""A host that ends well gives back what it holds, but for what it has used or cannot account for."""

COUNT = """
local time = redis.call('TIME')
return redis.call('ZCOUNT', KEYS[1], string.format('(%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), '+inf')
"""
"""How many hosts live; those whose lease has ended stay until somebody sends a heartbeat."""

LEARN = """
local known, asking, value, left, age = KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3])
redis.call('DEL', asking)
local before = redis.pcall('GET', known)
if type(before) == 'string' then
  local read, its = pcall(cjson.decode, before)
  local life = read and type(its) == 'table' and tonumber(its.life)
  if life and life - redis.call('PTTL', known) < age then return false end
end
redis.call('SET', known, value, 'PX', left)
return type(before) == 'string' and before
"""
"""Keep what the service said, unless what is kept was said later; return the value before."""

FORGET = """
local known, asking, news, mark, kept, text = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
redis.call('SET', known, mark, 'PX', kept)
redis.call('DEL', asking)
redis.call('PUBLISH', news, text)
return 1
"""
"""Mark a value as no longer true, for a look-up under way may still bring it back, and tell all hosts."""
