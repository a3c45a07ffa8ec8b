import { createHash } from 'node:crypto'

export interface Script {
  readonly name: string
  readonly lua: string
  readonly sha: string
}

const script = (name: string, lua: string): Script => ({ name, lua, sha: createHash('sha1').update(lua).digest('hex') })

/** The store's clock, in milliseconds: replicas minutes apart agree on it. */
const NOW = `local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`
/**
 * A generation is the moment of its write in microseconds by the store's clock, and always more than the one before. Counted from one, a generation that a
 * failover has lost and another that was written in its stead would bear the same number, and a copy of the lost one would pass for the newest.
 */
const NEXT = (before: string): string => `string.format('%.0f', math.max(${before} + 1, t[1] * 1000000 + t[2]))`
/**
 * What a script announces, it announces first: a PUBLISH that is denied then stops the script before it has written anything. Nobody can read in
 * between; a script is one step.
 */
const WRITTEN = (gen: string): string =>
  `redis.call('PUBLISH', channel, '{"kind":"written","ref":"' .. ref .. '","gen":' .. ${gen} .. '}')
`
const ENDED = `redis.call('PUBLISH', channel, '{"kind":"ended","ref":"' .. ref .. '","reason":"' .. reason .. '"}')
`
/** The guard of every update: it cannot create. */
const GUARD = `if redis.call('EXISTS', KEYS[1]) == 0 then return {'absent', redis.call('GET', KEYS[2])} end
`
/** record, tombstone, idle → ended reason | absent | found idle now fields… */
const read = script(
  'read',
  `local ended = redis.call('GET', KEYS[2])
if ended then return {'ended', ended} end
local fields = redis.call('HGETALL', KEYS[1])
if #fields == 0 then return {'absent'} end
${NOW}return {'found', redis.call('GET', KEYS[3]), string.format('%.0f', now), fields}`,
)

/** As \`read\`, without the body. */
const check = script(
  'check',
  `local ended = redis.call('GET', KEYS[2])
if ended then return {'ended', ended} end
local gen = redis.call('HGET', KEYS[1], 'gen')
if not gen then return {'absent'} end
${NOW}return {'found', redis.call('GET', KEYS[3]), string.format('%.0f', now), gen}`,
)

/** As \`read\`, with the card only. */
const card = script(
  'card',
  `local ended = redis.call('GET', KEYS[2])
if ended then return {'ended', ended} end
local card = redis.call('HGET', KEYS[1], 'card')
if not card then return {'absent'} end
${NOW}return {'found', redis.call('GET', KEYS[3]), string.format('%.0f', now), card}`,
)

/** record, tombstone, idle; channel, ref, ends, idle timeout, field, value, … */
const create = script(
  'create',
  `local channel, ref = ARGV[1], ARGV[2]
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return {'taken'} end
${NOW}${WRITTEN('1')}for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'gen', 1, 'rt_gen', 1, 'ends', ARGV[3])
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
redis.call('SET', KEYS[3], string.format('%.0f', now), 'PX', ARGV[4])
return {'created'}`,
)

/** idle; idle timeout. XX: a stamp that has run out stays out. The stamp never outlives what it belongs to by more than the idle timeout. */
const touch = script(
  'touch',
  `${NOW}if redis.call('SET', KEYS[1], string.format('%.0f', now), 'XX', 'PX', ARGV[1]) then return 1 end
return 0`,
)

/** record, tombstone; channel, ref, rt_gen or '', field, value, … → saved gen rt_gen gen-before */
const save = script(
  'save',
  `local channel, ref, spent = ARGV[1], ARGV[2], ARGV[3]
${GUARD}if spent ~= '' and redis.call('HGET', KEYS[1], 'rt_gen') ~= spent then return {'superseded'} end
${NOW}local before = redis.call('HGET', KEYS[1], 'gen')
local gen = ${NEXT('before')}
${WRITTEN('gen')}if spent ~= '' then
  redis.call('HSET', KEYS[1], 'rt_gen', ${NEXT('spent')})
  redis.call('HDEL', KEYS[1], 'spending')
end
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'gen', gen)
return {'saved', gen, redis.call('HGET', KEYS[1], 'rt_gen'), before}`,
)

/**
 * record, tombstone; channel, ref, rt_gen, field, value, … → restored gen | kept. What was saved as \`rt_gen\`, where the record is older: its server lost
 * the save. The mark of the older one goes with it.
 */
const restore = script(
  'restore',
  `local channel, ref, saved = ARGV[1], ARGV[2], ARGV[3]
${GUARD}if redis.call('EXISTS', KEYS[2]) == 1 or tonumber(redis.call('HGET', KEYS[1], 'rt_gen')) >= tonumber(saved) then return {'kept'} end
${NOW}local gen = ${NEXT("redis.call('HGET', KEYS[1], 'gen')")}
${WRITTEN('gen')}redis.call('HSET', KEYS[1], 'rt_gen', saved)
redis.call('HDEL', KEYS[1], 'spending')
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'gen', gen)
return {'restored', gen}`,
)

/** record, tombstone, idle, lease; channel, ref, reason, tombstone time, rt_gen or '' → ended indexes is-first */
const end = script(
  'end',
  `local channel, ref, reason = ARGV[1], ARGV[2], ARGV[3]
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[5] == '' and redis.call('EXISTS', KEYS[2]) == 0 then
    ${ENDED}    redis.call('SET', KEYS[2], reason, 'PX', ARGV[4])
    return {'absent', '', 1}
  end
  return {'absent', '', 0}
end
if ARGV[5] ~= '' and redis.call('HGET', KEYS[1], 'rt_gen') ~= ARGV[5] then return {'superseded', ''} end
local indexes = redis.call('HGET', KEYS[1], 'indexes')
${ENDED}redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
redis.call('SET', KEYS[2], reason, 'PX', ARGV[4])
return {'ended', indexes or '', 1}`,
)

/** lease; fence, length */
const renew = script(
  'renew',
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`,
)

/** lease; fence */
const release = script('release', `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`)

const UNDER_LEASE = `${GUARD}if redis.call('GET', KEYS[3]) ~= ARGV[1] then return {'lease-lost'} end
if redis.call('HGET', KEYS[1], 'rt_gen') ~= ARGV[2] then return {'superseded'} end
local found = redis.call('HGET', KEYS[1], 'spending')
${NOW}`

/**
 * record, tombstone, lease; fence, rt_gen, replica, timeout → marked | found mark now.
 * The mark is \`fence sent_at timeout replica\`; it is of the record's rt_gen, because every save that moves that clears it.
 */
const mark = script(
  'mark',
  `${UNDER_LEASE}if found then return {'found', found, string.format('%.0f', now)} end
redis.call('HSET', KEYS[1], 'spending', ARGV[1] .. ' ' .. string.format('%.0f', now) .. ' ' .. ARGV[4] .. ' ' .. ARGV[3])
return {'marked'}`,
)

/**
 * record; fence, rt_gen, the mark that was taken over (without its fence) or ''. Whoever took the mark over has written another fence into it. One that is put
 * back has the fence of nobody.
 */
const clearMark = script(
  'clear-mark',
  `local found = redis.call('HGET', KEYS[1], 'spending')
if found and redis.call('HGET', KEYS[1], 'rt_gen') == ARGV[2] and string.sub(found, 1, #ARGV[1] + 1) == ARGV[1] .. ' ' then
  if ARGV[3] == '' then redis.call('HDEL', KEYS[1], 'spending')
  else
    redis.call('HSET', KEYS[1], 'spending', '- ' .. ARGV[3])
    if redis.call('HGET', KEYS[1], 'recovered') == ARGV[2] then redis.call('HDEL', KEYS[1], 'recovered') end
  end
end
return 1`,
)

/**
 * record, tombstone, lease; fence, rt_gen, replica, timeout, the found mark without its fence, 1 where the provider forgives.
 * \`recovered\` names the last rt_gen for which a second send was allowed: one per token, whatever becomes of it.
 */
const takeMark = script(
  'take-mark',
  `${UNDER_LEASE}if not found or string.sub(found, (string.find(found, ' ', 1, true)) + 1) ~= ARGV[5] then return {'superseded'} end
if ARGV[6] == '0' and redis.call('HGET', KEYS[1], 'recovered') == ARGV[2] then return {'recovered-before'} end
redis.call('HSET', KEYS[1], 'recovered', ARGV[2],
  'spending', ARGV[1] .. ' ' .. string.format('%.0f', now) .. ' ' .. ARGV[4] .. ' ' .. ARGV[3])
return {'taken'}`,
)

/** index; ref, ends. A sorted set by end: what has ended drops out with the next write, the rest with the last end. */
const addToIndex = script(
  'add-to-index',
  `${NOW}redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', KEYS[1], last[2]) end
return 1`,
)

/** tombstone of an index; instant, time to live. Two logouts in the wrong order leave the later instant. */
const entomb = script(
  'entomb',
  `local before = redis.call('GET', KEYS[1])
local at = ARGV[1]
if before and tonumber(before) > tonumber(at) then at = before end
redis.call('SET', KEYS[1], at, 'PX', ARGV[2])
return 1`,
)

/** keys; kid, ends */
const noteKey = script(
  'note-key',
  `local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before or tonumber(before) < tonumber(ARGV[2]) then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
local left = redis.call('PTTL', KEYS[1])
${NOW}if left < 0 or now + left < tonumber(ARGV[2]) then redis.call('PEXPIREAT', KEYS[1], ARGV[2]) end
return 1`,
)

export const SCRIPTS = {
  read,
  check,
  card,
  create,
  touch,
  save,
  restore,
  end,
  renew,
  release,
  mark,
  clearMark,
  takeMark,
  addToIndex,
  entomb,
  noteKey,
} as const
export type Scripts = { readonly [N in keyof typeof SCRIPTS]: Script }

/** For tests of the tests: a script with one line changed is another script. */
export const scriptOf = script
