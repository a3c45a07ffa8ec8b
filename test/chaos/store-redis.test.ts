import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { SessionChange } from '../../src/domain/session.ts'
import { instant, millis, minutes, seconds, systemClock } from '../../src/kernel/time.ts'
import type { Clock } from '../../src/kernel/time.ts'
import { connectRedis } from '../../src/session/connection-redis.ts'
import { redisKeys } from '../../src/session/keys-redis.ts'
import { createRedisRecords } from '../../src/session/records-redis.ts'
import { createRedisStores } from '../../src/session/store-redis.ts'
import { SCRIPTS, scriptOf } from '../../src/session/scripts-redis.ts'
import { withBarriers } from '../harness/barriers.ts'
import { canStartRedis, startRedis } from '../harness/redis.ts'
import type { RedisServer } from '../harness/redis.ts'
import { APP, CANARY, Recorder, aDraft, aGrant, anAccessToken, created, redisWorld, until } from '../contract/session-store-kit.ts'
import type { World } from '../contract/session-store-kit.ts'

const BOUND_MS = 5_000
const now = () => instant(Date.now())
/** Resolves to the answer, or fails when it took longer than a browser should wait. */
const within = async <T>(work: Promise<T>): Promise<T> => {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('no answer in time')), BOUND_MS)
  return Promise.race([work, late.promise]).finally(() => clearTimeout(timer))
}

describe.skipIf(!canStartRedis)('a Redis that fails', () => {
  let redis: RedisServer
  let world: World
  beforeEach(async () => {
    redis = await startRedis()
    world = await redisWorld(redis.url)
  })
  afterEach(async () => {
    await world.close()
    await redis.stop()
  })

  it('frozen, grace 0: every call is unavailable within its bound, and the same session works when it thaws', async () => {
    const { store, once } = await world.replica()
    const session = await created(store)
    const cookie = session.cookie.reveal()
    redis.freeze()
    await until(() => store.mode() !== 'live')
    expect(store.peek(cookie, now())).toBeUndefined()
    expect(await within(store.open(cookie))).toEqual({ kind: 'unavailable' })
    expect(await within(store.reopen(session))).toEqual({ kind: 'unavailable' })
    expect(await within(store.save(session, { grant: aGrant(), tokens: [] }))).toEqual({ kind: 'unavailable' })
    expect(await within(store.acquireLease(session.ref, seconds(1)))).toBe('unavailable')
    expect(await within(once.claim('state', 'digest', minutes(1)))).toBe('unavailable')
    expect((await within(store.create({ card: session.card, grant: session.grant, tokens: [] }))).kind).toBe('unavailable')
    expect(store.mode()).toBe('grace')
    expect(store.reachable()).toBe(false)
    const before = store.connectedSince()
    redis.thaw()
    await until(() => store.mode() === 'live')
    expect(store.connectedSince()).toBeGreaterThan(before)
    expect((await store.open(cookie)).kind).toBe('found')
    expect(store.peek(cookie, now())).toBeDefined()
  })

  // Timers run before what has arrived is read: a machine that gave us no time is not a store that gave no answer.
  it('asked by a replica that then stood still itself: the answer that came meanwhile counts', async () => {
    const settings = {
      url: redis.url,
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
      keyPrefix: 'p',
    }
    const recorder = new Recorder()
    const connection = connectRedis({ settings, clock: { now, sleep: async () => {} }, log: recorder.log, metrics: recorder.metrics })
    try {
      await until(() => connection.reachable())
      await connection.call('set', (client) => client.set('k', 'v'))
      const since = connection.connectedSince()
      const asked = connection.call('get', (client) => client.get('k'))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 700)
      expect(await asked).toBe('v')
      expect(connection.connectedSince()).toBe(since)
    } finally {
      await connection.close()
    }
  })

  it('frozen for longer than its sockets are kept: comes back by itself', { timeout: 90_000 }, async () => {
    const { store } = await world.replica()
    const session = await created(store)
    redis.freeze()
    await new Promise((resolve) => setTimeout(resolve, 6_000))
    redis.thaw()
    await until(() => store.mode() === 'live', 15_000)
    expect((await store.open(session.cookie.reveal())).kind).toBe('found')
  })

  // The channel stayed with it: what another primary announced would have come late, or not at all, with all copies believed.
  it('demoted by hand is left by commands and event channel alike', async () => {
    const { store } = await world.replica()
    const ours = async (): Promise<string[]> => {
      const lines = String(await world.raw!.client('LIST')).split('\n')
      return lines.filter((line) => /cmd=(time|subscribe|ping)/.test(line)).map((line) => line.split(' ')[0] ?? '')
    }
    await until(async () => (await ours()).length === 2)
    const before = await ours()
    await world.raw!.replicaof('127.0.0.1', '1')
    await until(async () => (await ours()).every((id) => !before.includes(id)), 12_000)
    await world.raw!.replicaof('NO', 'ONE')
    // A look at the role may still be under way, and lead to one more connection.
    await until(async () => store.mode() === 'live' && (await store.create(aDraft(now()))).kind === 'created')
  })

  it('restarted with its data: the same session, lease and index are there', async () => {
    const { store } = await world.replica()
    const session = await created(store)
    await store.acquireLease(session.ref, seconds(60))
    await redis.kill()
    await until(() => store.mode() === 'grace')
    expect(await store.open(session.cookie.reveal())).toEqual({ kind: 'unavailable' })
    await redis.restart()
    await until(() => store.mode() === 'live')
    expect((await store.open(session.cookie.reveal())).kind).toBe('found')
    expect(await store.acquireLease(session.ref, seconds(1))).toBe('held')
    expect(await store.save(session, { grant: aGrant(), tokens: [] })).toMatchObject({ kind: 'saved' })
  })

  it('away: a session in memory is served stale within the grace and not after; what is not in memory is unavailable', async () => {
    let skew = 0
    const clock: Clock = { now: () => instant(Date.now() + skew), sleep: async () => {} }
    const { store } = await world.replica({ graceMs: seconds(30), clock })
    const other = await world.replica()
    const [held, foreign] = [await created(store), await created(other.store)]
    await redis.kill()
    await until(() => store.mode() === 'grace')
    expect(store.peek(held.cookie.reveal(), clock.now())).toBeUndefined()
    const opened = await store.open(held.cookie.reveal())
    expect(opened.kind === 'found' && opened.held.stale).toBe(true)
    expect(await store.open(foreign.cookie.reveal())).toEqual({ kind: 'unavailable' })
    expect(await other.store.open(foreign.cookie.reveal())).toEqual({ kind: 'unavailable' })
    skew = 31_000
    expect(await store.open(held.cookie.reveal())).toEqual({ kind: 'unavailable' })
    await redis.restart()
    await until(() => store.mode() === 'live')
    const again = await store.open(held.cookie.reveal())
    expect(again.kind === 'found' && again.held.stale).toBe(false)
  })

  it('away during a logout: the replica serves the session no more, and ends it when the store is back', async () => {
    const { store } = await world.replica({ graceMs: minutes(5) })
    const other = await world.replica()
    const session = await created(store)
    await redis.kill()
    await until(() => store.mode() === 'grace')
    expect(await store.end(session.ref, 'user')).toBe('unavailable')
    expect(await store.open(session.cookie.reveal())).toEqual({ kind: 'ended', reason: 'user' })
    await redis.restart()
    await until(async () => (await other.store.open(session.cookie.reveal())).kind === 'ended')
  })

  it('refuses writes for a while: a logout that had to wait is stored when it takes them again, without any connection lost', async () => {
    const { store } = await world.replica({ clock: systemClock })
    const session = await created(store)
    await world.raw!.config('SET', 'min-replicas-to-write', '1')
    expect(await store.end(session.ref, 'user')).toBe('unavailable')
    expect(store.reachable()).toBe(true)
    const later = await world.replica()
    expect((await later.store.open(session.cookie.reveal())).kind).toBe('found')
    await world.raw!.config('SET', 'min-replicas-to-write', '0')
    await until(async () => (await later.store.open(session.cookie.reveal())).kind === 'ended')
  })

  /** Nobody may use the channel any more, and who did is cut off; commands go on. */
  const cutChannel = async (): Promise<void> => {
    await world.raw!.acl('SETUSER', 'default', 'resetchannels')
    const clients = ((await world.raw!.client('LIST')) as string).split('\n')
    for (const line of clients) if (line.includes(' sub=1 ')) await world.raw!.client('KILL', 'ID', /id=(\d+)/.exec(line)![1]!)
  }
  const mendChannel = () => world.raw!.acl('SETUSER', 'default', 'allchannels')

  it('with the event channel cut: compares generations, and what changed meanwhile is found before copies are believed again', async () => {
    const { store, recorder } = await world.replica()
    const [kept, ended, written] = [await created(store), await created(store), await created(store)]
    const heard: SessionChange[] = []
    store.onChange((change) => heard.push(change))
    await cutChannel()
    await until(() => store.mode() === 'checking')
    expect(store.peek(kept.cookie.reveal(), now())).toBeUndefined()
    const lookups = recorder.counts.get('sallyport_session_lookups_total l1') ?? 0
    expect((await store.open(kept.cookie.reveal())).kind).toBe('found')
    expect(recorder.counts.get('sallyport_session_lookups_total l1')).toBe(lookups + 1)
    // As another replica does it, and nothing of it is heard here.
    await world.raw!.set(world.keys.tombstone(ended.ref), 'admin', 'PX', 60_000)
    await world.raw!.del(world.keys.record(ended.ref))
    await world.raw!.hincrby(world.keys.record(written.ref), 'gen', 1)
    const seenWritten = await store.open(written.cookie.reveal())
    expect(seenWritten.kind === 'found' && seenWritten.held.session.gen).toBe(2)
    await world.raw!.hincrby(world.keys.record(written.ref), 'gen', 1)
    await mendChannel()
    await until(() => store.mode() === 'live')
    expect([kept, ended, written].map((session) => store.peek(session.cookie.reveal(), now()) !== undefined)).toEqual([true, false, false])
    expect(heard).toContainEqual({ kind: 'ended', ref: ended.ref, reason: 'admin' })
    expect(await store.open(ended.cookie.reveal())).toEqual({ kind: 'ended', reason: 'admin' })
  })

  it('with the event channel cut: an end elsewhere counts at the next request', async () => {
    const { store } = await world.replica()
    const session = await created(store)
    await cutChannel()
    await until(() => store.mode() === 'checking')
    await world.raw!.set(world.keys.tombstone(session.ref), 'admin', 'PX', 60_000)
    await world.raw!.del(world.keys.record(session.ref))
    expect(await store.open(session.cookie.reveal())).toEqual({ kind: 'ended', reason: 'admin' })
  })

  it('a read that began while the channel was cut is not believed once it is back', async () => {
    const barriers: { hold?: ReturnType<typeof withBarriers<ReturnType<typeof createRedisRecords>>>['hold'] } = {}
    const { store } = await world.replica({
      between: (records) => {
        const gated = withBarriers(records)
        barriers.hold = gated.hold
        return gated.port
      },
    })
    const session = await created((await world.replica()).store)
    await cutChannel()
    await until(() => store.mode() === 'checking')
    const barrier = barriers.hold!('read', 'after')
    const opening = store.open(session.cookie.reveal())
    await barrier.reached
    // Written by another replica after our read and before we listen again: nobody will tell us.
    await world.raw!.hincrby(world.keys.record(session.ref), 'gen', 1)
    await mendChannel()
    await until(() => store.mode() === 'live')
    barrier.release()
    expect((await opening).kind).toBe('found')
    expect(store.peek(session.cookie.reveal(), now())).toBeUndefined()
    await store.open(session.cookie.reveal())
    expect(store.peek(session.cookie.reveal(), now())?.session.gen).toBe(2)
  })

  it('that denies the announcement takes no write that would need it', async () => {
    const { store } = await world.replica()
    const session = await created(store)
    await cutChannel()
    expect(await store.save(session, { grant: aGrant(), tokens: [anAccessToken('x')] })).toEqual({ kind: 'unavailable' })
    expect(await world.raw!.hmget(world.keys.record(session.ref), 'gen', 'rt_gen')).toEqual(['1', '1'])
    expect(await store.endIfUnrenewed(session, 'refresh-refused')).toBe('unavailable')
    expect(await world.raw!.exists(world.keys.record(session.ref), world.keys.tombstone(session.ref))).toBe(1)
    await mendChannel()
    expect(await store.save(session, { grant: aGrant(), tokens: [] })).toMatchObject({ kind: 'saved' })
  })

  it('that is not there at the start is waited for by readiness alone', async () => {
    await redis.kill()
    const recorder = new Recorder()
    const settings = {
      url: redis.url,
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
    }
    const stores = createRedisStores({
      ...{ log: recorder.log, metrics: recorder.metrics, audit: recorder.audit, sealer: world.sealer, app: APP, replica: 'r' },
      clock: { now, sleep: async () => {} },
      settings: { idleTimeoutMs: minutes(60), graceMs: millis(0), l1: { entriesMax: 10, bytesMax: 1_000_000 } },
      redis: { ...settings, keyPrefix: 'p' },
    })
    let ready = false
    void stores.sessions.ready().then(() => (ready = true))
    expect((await within(stores.sessions.open('A'.repeat(64)))).kind).toBe('unavailable')
    expect([ready, stores.sessions.mode(), stores.sessions.reachable()]).toEqual([false, 'grace', false])
    await redis.restart()
    try {
      await until(() => ready && stores.sessions.mode() === 'live')
      expect((await stores.sessions.open('A'.repeat(64))).kind).toBe('absent')
    } finally {
      await stores.sessions.close()
    }
  })

  it('that forgot its scripts runs them all the same', async () => {
    const { store } = await world.replica()
    const session = await created(store)
    await world.raw!.script('FLUSH')
    expect((await store.reopen(session)).kind).toBe('found')
    expect(await store.end(session.ref, 'user')).toBe('ended')
  })

  it('whose answers nobody understands is unavailable, and says nothing of what was asked', async () => {
    const { store, recorder } = await world.replica()
    const session = await created(store)
    await world.raw!.del(world.keys.record(session.ref))
    await world.raw!.set(world.keys.record(session.ref), 'not a hash')
    expect(await store.reopen(session)).toEqual({ kind: 'unavailable' })
    expect(await store.save(session, { grant: aGrant(), tokens: [] })).toEqual({ kind: 'unavailable' })
    expect(store.reachable()).toBe(true)
    const said = recorder.lines.join('\n')
    expect(said).toContain('a call to the store failed')
    for (const secret of [...Object.values(CANARY), session.cookie.reveal(), '127.0.0.1']) expect(said).not.toContain(secret)
  })

  it('leaves no key without a time to live', async () => {
    const { store, once } = await world.replica()
    const [a, b] = [await created(store), await created(store)]
    const lease = await store.acquireLease(a.ref, seconds(30))
    if (typeof lease === 'string') throw new Error(lease)
    await store.markSpending(lease, a, millis(1_000))
    await store.save(a, { grant: aGrant(), tokens: [anAccessToken('x')] })
    await store.end(b.ref, 'user')
    await once.claim('state', 'digest', minutes(1))
    await once.put('logout-continue', 'name', 'sealed', minutes(1))
    const names = await world.raw!.keys('*')
    expect(names.length).toBeGreaterThanOrEqual(9)
    for (const name of names) expect([name, await world.raw!.pttl(name)]).toEqual([name, expect.toSatisfy((left: number) => left > 0)])
  })

  it('keeps a logout final by the guard of its script; a script without it does not (test of the test)', async () => {
    const race = async (lua: string) => {
      const barriers: { hold?: ReturnType<typeof withBarriers<ReturnType<typeof createRedisRecords>>>['hold'] } = {}
      const refreshing = await world.replica({
        scripts: { ...SCRIPTS, save: scriptOf('save', lua) },
        between: (records) => {
          const gated = withBarriers(records)
          barriers.hold = gated.hold
          return gated.port
        },
      })
      const elsewhere = await world.replica()
      const session = await created(refreshing.store)
      const barrier = barriers.hold!('save', 'before')
      const saving = refreshing.store.save(session, { grant: undefined, tokens: [anAccessToken('after-logout')] })
      await barrier.reached
      await elsewhere.store.end(session.ref, 'user')
      barrier.release()
      return { saved: (await saving).kind, back: await world.raw!.exists(world.keys.record(session.ref)) }
    }
    expect(await race(SCRIPTS.save.lua)).toEqual({ saved: 'absent', back: 0 })
    const unguarded = SCRIPTS.save.lua
      .replace(/^if redis\.call\('EXISTS'.*$/m, '')
      .replace("local before = redis.call('HGET', KEYS[1], 'gen')", "local before = redis.call('HGET', KEYS[1], 'gen') or 0")
    expect(unguarded).not.toBe(SCRIPTS.save.lua)
    expect(await race(unguarded)).toEqual({ saved: 'saved', back: 1 })
  })
})

describe.skipIf(!canStartRedis)('a Redis with a password and least rights', () => {
  it('is used by the rights that docs/storage.md lists, with the password as the file holds it at each connection', async () => {
    const redis = await startRedis()
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-store-'))
    const world = await redisWorld(redis.url)
    try {
      const rights = ['resetkeys', '~p:*', 'resetchannels', '&p:*', '-@all', ...ACL_COMMANDS.map((command) => `+${command}`)]
      const setPassword = (password: string) => world.raw!.acl('SETUSER', 'sallyport', 'on', 'resetpass', `>${password}`, ...rights)
      await setPassword('CANARY-first')
      const passwordFile = join(dir, 'password')
      writeFileSync(passwordFile, 'CANARY-first\n')
      const recorder = new Recorder()
      const settings = { url: redis.url, username: 'sallyport', passwordFile, caFile: undefined, serverName: undefined, keyPrefix: 'p' }
      const clock: Clock = { now, sleep: async () => {} }
      const connection = connectRedis({ settings, clock, log: recorder.log, metrics: recorder.metrics })
      const records = createRedisRecords({ connection, keys: redisKeys('p', APP) })
      try {
        await until(() => connection.reachable())
        expect(await records.noteKey('kid', now())).toBe('stored')
        await setPassword('CANARY-second')
        writeFileSync(passwordFile, 'CANARY-second\n')
        await world.raw!.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await until(async () => (await records.keyUsage()) !== 'unavailable')
        await world.raw!.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        await until(async () => (await records.noteKey('kid', now())) === 'stored')
        expect(recorder.lines.join('\n')).not.toContain('CANARY')
      } finally {
        await connection.close()
      }
    } finally {
      await world.close()
      await redis.stop()
      await rm(dir, { recursive: true, force: true })
    }
  })
})

/** docs/storage.md says the same. */
const ACL_COMMANDS = [
  ...['hello', 'auth', 'select', 'info', 'ping', 'subscribe', 'unsubscribe', 'publish', 'time'],
  ...['eval', 'evalsha', 'exists', 'get', 'getdel', 'set', 'del', 'pexpire', 'pexpireat', 'pttl'],
  ...['hget', 'hgetall', 'hset', 'hdel', 'hincrby', 'zadd', 'zrem', 'zrange', 'zrevrange', 'zremrangebyscore'],
]
