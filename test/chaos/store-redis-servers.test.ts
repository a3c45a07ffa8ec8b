import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Session } from '../../src/domain/session.ts'
import { createFileWatch } from '../../src/kernel/file-watch.ts'
import { BROKER_DEFAULTS } from '../../src/broker/deps.ts'
import { createBroker } from '../../src/broker/broker.ts'
import { makeAsk } from '../../src/broker/token-key.ts'
import { instant, millis, minutes, systemClock } from '../../src/kernel/time.ts'
import { connectRedis } from '../../src/session/connection-redis.ts'
import { Recorder, aGrant, created, redisWorld, until } from '../contract/session-store-kit.ts'
import type { Replica, World } from '../contract/session-store-kit.ts'
import { wordOf } from '../harness/brokers.ts'
import { createFakeProvider } from '../harness/fake-provider-port.ts'
import { PRIMARY_NAME } from '../harness/redis-fleet.ts'
import type { RedisFleet } from '../harness/redis-fleet.ts'
import { behind, canStartRedis, startRedis, startSentinels } from '../harness/redis.ts'

const FAILOVER_MS = 20_000

describe.skipIf(!canStartRedis)('a primary behind sentinels', { timeout: 90_000 }, () => {
  let fleet: RedisFleet
  let world: World
  beforeEach(async () => {
    fleet = await startSentinels()
    world = await redisWorld({ servers: behind(fleet.ports) })
  })
  afterEach(async () => {
    await world.close()
    await fleet.stop()
  })
  const live = (...replicas: readonly Replica[]) => until(() => replicas.every(({ store }) => store.mode() === 'live'), FAILOVER_MS)
  const waits = ({ recorder }: Replica, outcome: string) => recorder.counts.get(`sallyport_store_replica_waits_total ${outcome}`) ?? 0

  it('has an end and a rotated refresh token confirmed by a replica, and nothing else', async () => {
    const replica = await world.replica()
    const session = await created(replica.store)
    await replica.store.save(session, { grant: undefined, tokens: [] })
    expect(waits(replica, 'confirmed')).toBe(0)
    await replica.store.save(session, { grant: aGrant(), tokens: [] })
    expect(waits(replica, 'confirmed')).toBe(1)
    await replica.store.end(session.ref, 'user')
    expect(waits(replica, 'confirmed')).toBe(2)
  })

  it('that dies with an end nobody else had: the session serves nowhere again, not even where nobody knew of its end', async () => {
    const [ending, other] = [await world.replica(), await world.replica()]
    const [lost, kept] = [await created(ending.store), await created(ending.store)]
    const raw = new Redis(fleet.servers[0]!.port, '127.0.0.1')
    await raw.wait(2, 5_000)
    // The replicas are cut off while they cannot connect anew: what is written from here on is with the primary alone.
    for (const replica of fleet.servers.slice(1)) replica.freeze()
    await raw.call('CLIENT', 'KILL', 'TYPE', 'replica')
    expect(await ending.store.end(lost.ref, 'user')).toBe('ended')
    expect(waits(ending, 'confirmed')).toBe(0)
    await fleet.servers[0]!.kill()
    raw.disconnect()
    for (const replica of fleet.servers.slice(1)) replica.thaw()
    await live(ending, other)
    const fresh = await world.replica()
    await until(async () => (await fresh.store.open(lost.cookie.reveal())).kind === 'ended')
    expect(await fresh.store.open(lost.cookie.reveal())).toEqual({ kind: 'ended', reason: 'user' })
    expect((await fresh.store.open(kept.cookie.reveal())).kind).toBe('found')
    const again = [ending, other].reduce((sum, { recorder }) => sum + (recorder.counts.get('sallyport_session_ended_again_total') ?? 0), 0)
    // Each that remembers tries; one of them finds it.
    expect(again).toBe(1)
  })

  it('that dies with a rotated refresh token nobody else had: its receiver stores it again, and the spent one is not sent', async () => {
    const [receiver, other] = [await world.replica({ clock: systemClock }), await world.replica({ clock: systemClock })]
    const provider = createFakeProvider({ clock: systemClock, requestTimeoutMs: millis(500) })
    const ask = makeAsk('refresh', 'api://orders', [])
    const brokers = [receiver, other].map(({ store, recorder: { log, metrics, audit } }) => {
      const settings = { ...BROKER_DEFAULTS, recheckMs: minutes(60), recheckGraceMs: minutes(60) }
      return createBroker({ store, log, metrics, audit, provider, clock: systemClock, settings, asks: [ask] })
    })
    const session = await created(receiver.store, { tokens: [], grant: { refreshToken: provider.grant('alice') } })
    const held = { session, lastSeenAt: systemClock.now(), stale: false }
    const raw = new Redis(fleet.servers[0]!.port, '127.0.0.1')
    await raw.wait(2, 5_000)
    for (const replica of fleet.servers.slice(1)) replica.freeze()
    await raw.call('CLIENT', 'KILL', 'TYPE', 'replica')
    expect(wordOf(await brokers[0]!.user(held, ask))).toBe('issued')
    await fleet.servers[0]!.kill()
    raw.disconnect()
    for (const replica of fleet.servers.slice(1)) replica.thaw()
    await live(receiver, other)
    // One that knows nothing of it, and the good token that it could serve is of no use to it.
    const seenRtGen = session.rtGen
    const old = { ...session, grant: { ...session.grant, confirmedAt: instant(0) } }
    const refreshed = async (): Promise<string> => wordOf(await brokers[1]!.refreshNow({ ...held, session: old }))
    // On a busy machine a moment of the new primary may be too long for a command: that is no answer, and is asked again.
    let word = await refreshed()
    await until(async () => word !== 'store.unavailable' || (word = await refreshed()) !== 'store.unavailable')
    expect(word).toBe('refreshed')
    expect(provider.sentAfterRotation).toEqual([])
    const opened = await other.store.reopen(session)
    if (opened.kind !== 'found') throw new Error(opened.kind)
    expect(opened.held.session.rtGen).toBeGreaterThan(seenRtGen)
    expect(provider.isAlive(opened.held.session.grant.refreshToken)).toBe(true)
    expect(receiver.recorder.counts.get('sallyport_session_saved_again_total')).toBe(1)
    for (const broker of brokers) broker.close()
  })

  it('that dies with writes going on: they go on with its successor, and no acknowledged end is undone', async () => {
    const [a, b] = [await world.replica({ clock: systemClock }), await world.replica({ clock: systemClock })]
    const ended: Session[] = []
    let running = true
    let savedAfter = 0
    let killed = false
    const write = async ({ store }: Replica): Promise<void> => {
      while (running) {
        const made = await store.create({ card: (await first).card, grant: aGrant(), tokens: [] })
        if (made.kind !== 'created') {
          await systemClock.sleep(millis(20))
          continue
        }
        const saved = await store.save(made.session, { grant: aGrant(), tokens: [] })
        if (killed && saved.kind === 'saved') savedAfter += 1
        if ((await store.end(made.session.ref, 'user')) === 'ended') ended.push(made.session)
      }
    }
    const first = created(a.store)
    const writing = [a, b, a, b].map(write)
    await until(() => ended.length > 100)
    await fleet.servers[0]!.kill()
    killed = true
    await until(() => savedAfter > 50, FAILOVER_MS)
    running = false
    await Promise.all(writing)
    await live(a, b)
    const fresh = await world.replica()
    const serving = async (): Promise<readonly Session[]> => {
      const opened = await Promise.all(
        ended.map(async (session) => ((await fresh.store.open(session.cookie.reveal())).kind === 'found' ? [session] : [])),
      )
      return opened.flat()
    }
    await until(async () => (await serving()).length === 0)
  })

  it('that is replaced while it still takes writes is left as soon as a sentinel says so', async () => {
    const replica = await world.replica()
    const session = await created(replica.store)
    const sentinel = new Redis(fleet.ports[0]!, '127.0.0.1', { enableReadyCheck: false })
    const primary = async () => Number(((await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', PRIMARY_NAME)) as string[])[1])
    await sentinel.call('SENTINEL', 'FAILOVER', PRIMARY_NAME)
    await until(async () => (await primary()) !== fleet.servers[0]!.port, FAILOVER_MS)
    const successor = new Redis(await primary(), '127.0.0.1')
    // The old one is told only some 10 s later; who waits for that loses what it writes until then.
    const isThere = async (): Promise<boolean> => {
      const saved = await replica.store.save(session, { grant: undefined, tokens: [] })
      return saved.kind === 'saved' && (await successor.hget(world.keys.record(session.ref), 'gen')) === String(saved.session.gen)
    }
    await until(isThere, 3_000)
    await live(replica)
    expect((await replica.store.open(session.cookie.reveal())).kind).toBe('found')
    sentinel.disconnect()
    successor.disconnect()
  })
})

describe.skipIf(!canStartRedis)('a password that changes in its file', () => {
  it('is told to the connection that stands, once, and one that the server does not know yet breaks nothing', async () => {
    const redis = await startRedis()
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-password-'))
    const passwordFile = join(dir, 'password')
    const raw = new Redis(redis.url)
    const recorder = new Recorder()
    writeFileSync(passwordFile, 'CANARY-one\n')
    await raw.acl('SETUSER', 'gate', 'on', '>CANARY-one', '~*', '&*', '+@all')
    const proof = { username: 'gate', passwordFile, caFile: undefined, serverName: undefined, keyPrefix: 'p' }
    const watch = createFileWatch({ clock: systemClock, log: recorder.log, everyMs: millis(30) })
    const deps = { clock: systemClock, log: recorder.log, metrics: recorder.metrics, watch }
    const connection = connectRedis({ ...deps, settings: { url: redis.url, ...proof } })
    const counted = async (what: RegExp) => Number(what.exec(await raw.info('everything'))?.[1] ?? 0)
    const connections = () => counted(/^total_connections_received:(\d+)/m)
    const refusedAuths = () => counted(/^cmdstat_auth:.*failed_calls=(\d+)/m)
    const auths = () => counted(/^cmdstat_auth:calls=(\d+)/m)
    try {
      await until(() => connection.reachable())
      const before = await connections()
      writeFileSync(passwordFile, 'CANARY-two\n')
      await until(async () => (await refusedAuths()) > 0)
      expect(await connection.call('set', (client) => client.set('k', 'v'))).toBe('OK')
      await raw.acl('SETUSER', 'gate', '>CANARY-two')
      await until(() => recorder.lines.some((line) => line.includes('the changed password of the store is in use')))
      const told = await auths()
      expect(await connection.call('get', (client) => client.get('k'))).toBe('v')
      await systemClock.sleep(millis(150))
      expect(await auths()).toBe(told)
      expect(await connections()).toBe(before)
      expect(recorder.lines.join('\n')).not.toContain('CANARY')
    } finally {
      await watch.stop()
      await connection.close()
      raw.disconnect()
      await redis.stop()
      rmSync(dir, { recursive: true, force: true })
    }
  })
})
