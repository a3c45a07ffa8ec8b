import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { Redis } from 'ioredis'
import { afterEach, describe, expect, it } from 'vitest'
import { ephemeralKeyring } from '../../src/crypto/keyring.ts'
import { randomNonce } from '../../src/crypto/random.ts'
import { createSealer } from '../../src/crypto/seal.ts'
import type { Opened, Session } from '../../src/domain/session.ts'
import type { TokenKey } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { instant, millis, minutes, seconds, systemClock } from '../../src/kernel/time.ts'
import { connectRedis } from '../../src/session/connection-redis.ts'
import type { SessionRecords } from '../../src/session/records.ts'
import { createRedisStores } from '../../src/session/store-redis.ts'
import {
  aDraft,
  aGrant,
  anAccessToken,
  CANARY,
  memoryWorld,
  Recorder,
  redisWorld,
  until,
  type World,
} from '../contract/session-store-kit.ts'
import { canStartRedis, sharedRedisUrl, startRedis } from '../harness/redis.ts'
import { selfSigned } from '../harness/self-signed.ts'

/** Somebody who can read, or write, what the store holds. */
const KINDS = [['memory', memoryWorld], ...(sharedRedisUrl ? ([['Redis', () => redisWorld()]] as const) : [])] as const
const open: World[] = []
afterEach(async () => void (await Promise.all(open.splice(0).map((world) => world.close()))))
const worldOf = async (make: () => Promise<World>): Promise<World> => {
  const world = await make()
  open.push(world)
  return world
}
const nowIn = (world: World) => (world.kind === 'memory' ? world.clock.now() : instant(Date.now()))
const made = async (world: World, store: Awaited<ReturnType<World['replica']>>['store']): Promise<Session> => {
  const now = nowIn(world)
  const result = await store.create(aDraft(now, { tokens: [anAccessToken('orders', now), anAccessToken('reports', now)] }))
  if (result.kind !== 'created') throw new Error(result.kind)
  return result.session
}

/** Hands out a record with what `spoil` made of it. */
type Spoil = (fields: Map<string, string>) => void
const spoiling =
  (spoil: () => Spoil | undefined) =>
  (records: SessionRecords): SessionRecords => ({
    ...records,
    read: async (ref) => {
      const result = await records.read(ref)
      const edit = spoil()
      if (result.kind !== 'found' || !edit) return result
      const { card, grant, tokens, ...rest } = result.stored
      const fields = new Map([['card', card], ['grant', grant], ...tokens])
      edit(fields)
      const left = [...fields].filter(([name]) => name !== 'card' && name !== 'grant') as [TokenKey, string][]
      return { ...result, stored: { ...rest, card: fields.get('card')!, grant: fields.get('grant')!, tokens: new Map(left) } }
    },
  })

describe.each(KINDS)('in %s', (_kind, make) => {
  it('nothing of the cookie is to be found, and no token or claim in clear', async () => {
    const world = await worldOf(make)
    const { store } = await world.replica()
    const cookie = (await made(world, store)).cookie.reveal()
    const dump = await world.dump()
    expect(dump.length).toBeGreaterThan(500)
    const bytes = Buffer.from(cookie, 'base64url')
    const parts = [bytes, bytes.subarray(0, 16), bytes.subarray(16)]
    const spellings = parts.flatMap((part) => ['base64url', 'base64', 'hex', 'latin1'].map((how) => part.toString(how as BufferEncoding)))
    for (const text of [cookie, ...spellings, ...Object.values(CANARY)]) expect(dump).not.toContain(text)
  })

  it('two entries that change places both stay shut: no token is ever another audience’s', async () => {
    const world = await worldOf(make)
    const session = await made(world, (await world.replica()).store)
    const [a = '', b = ''] = [...session.tokens.keys()]
    const { store } = await world.replica({
      between: spoiling(() => (fields) => {
        const [first, second] = [fields.get(a)!, fields.get(b)!]
        fields.set(a, second).set(b, first)
      }),
    })
    const opened = await store.open(session.cookie.reveal())
    expect(opened.kind === 'found' && opened.held.session.tokens.size).toBe(0)
  })

  it('a record with any one byte changed gives no session that is not the old one, is counted, and crashes nobody', async () => {
    const world = await worldOf(make)
    const maker = await world.replica()
    let session = await made(world, maker.store)
    let edit: Spoil | undefined
    const { store, recorder } = await world.replica({ between: spoiling(() => edit) })
    const counted = (): number =>
      [...recorder.counts].reduce((sum, [name, count]) => (name.startsWith('sallyport_session_lookups_total') ? sum + count : sum), 0)
    const outcomes = new Map<string, number>()
    const look = async (): Promise<Opened> => {
      const before = counted()
      const opened = await store.open(session.cookie.reveal())
      expect(counted()).toBeGreaterThan(before)
      outcomes.set(opened.kind, (outcomes.get(opened.kind) ?? 0) + 1)
      return opened
    }
    const step = world.kind === 'memory' ? 1 : 11
    for (const field of ['grant', 'card', ...session.tokens.keys()]) {
      const isToken = field !== 'grant' && field !== 'card'
      for (let at = 0; ; at += step) {
        let length = 0
        edit = (fields) => {
          const text = fields.get(field) ?? ''
          length = text.length
          fields.set(field, `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`)
        }
        const opened = await look()
        if (length > 0 && at >= length) break
        if (opened.kind === 'found') {
          expect(isToken, `${field} at ${at}`).toBe(true)
          expect(opened.held.session.tokens.size).toBe(1)
          expect(opened.held.session.grant.refreshToken?.reveal()).toBe(`${CANARY.refresh}-1`)
        }
        // A byte of the key's name can make it one that was removed: that ends the session, as the removal would have.
        if (opened.kind === 'ended') {
          expect(opened.reason).toBe('key-removed')
          session = await made(world, maker.store)
        }
      }
    }
    expect(recorder.counts.get('sallyport_session_lookups_total unopened')).toBeGreaterThan(step === 1 ? 500 : 40)
    expect(outcomes.get('absent')).toBeGreaterThan(step === 1 ? 300 : 20)
    edit = undefined
    expect((await look()).kind).toBe('found')
  }, 90_000)

  it('of many that spend one refresh token exactly one is saved, and after an end none is, in whatever order they land', async () => {
    const world = await worldOf(make)
    const replicas = await Promise.all([world.replica(), world.replica(), world.replica()])
    for (let round = 0; round < 5; round += 1) {
      const session = await made(world, replicas[0].store)
      const change = { grant: aGrant(nowIn(world)), tokens: [] }
      const saves = await Promise.all(Array.from({ length: 12 }, (_, n) => replicas[n % 3]!.store.save(session, change)))
      expect(saves.filter(({ kind }) => kind === 'saved')).toHaveLength(1)
      expect(saves.filter(({ kind }) => kind === 'superseded')).toHaveLength(11)
      const winner = saves.find((saved) => saved.kind === 'saved')
      const current = winner?.kind === 'saved' ? winner.session : session
      // An end lands somewhere among saves, leases and marks of three replicas: whatever came first, nothing brings the session back.
      const lease = await replicas[1].store.acquireLease(session.ref, seconds(5))
      if (typeof lease === 'string') throw new Error(lease)
      await Promise.all([
        ...replicas.map(({ store }) => store.save(current, change)),
        replicas[0].store.end(session.ref, 'user'),
        ...replicas.map(({ store }) => store.markSpending(lease, current, millis(1000))),
        ...replicas.map(({ store }) => store.save(current, { grant: undefined, tokens: [anAccessToken('late', nowIn(world))] })),
      ])
      for (const { store } of replicas) expect((await store.open(session.cookie.reveal())).kind).toBe('ended')
      expect(await replicas[2].store.markSpending(lease, current, millis(1000))).toEqual({ kind: 'absent' })
    }
  })

  it('a lease that ran out is nobody’s: its holder can neither send nor renew, and the next holder can', async () => {
    const world = await worldOf(make)
    const [first, second] = [await world.replica(), await world.replica()]
    const session = await made(world, first.store)
    const lost = await first.store.acquireLease(session.ref, millis(1_500))
    if (typeof lost === 'string') throw new Error(lost)
    expect(await second.store.acquireLease(session.ref, seconds(5))).toBe('held')
    await world.pass(millis(1_600))
    const taken = await second.store.acquireLease(session.ref, seconds(5))
    if (typeof taken === 'string') throw new Error(taken)
    expect(await first.store.renewLease(lost, seconds(5))).toBe('lost')
    expect(await first.store.markSpending(lost, session, millis(1000))).toEqual({ kind: 'lease-lost' })
    await first.store.releaseLease(lost)
    expect(await second.store.markSpending(taken, session, millis(1000))).toEqual({ kind: 'marked' })
  })

  it('after a logout that was acknowledged the cookie opens nothing on any of three replicas, hot or cold', async () => {
    const world = await worldOf(make)
    const replicas = await Promise.all([world.replica(), world.replica(), world.replica()])
    for (let n = 0; n < 10; n += 1) {
      const session = await made(world, replicas[0].store)
      const cookie = session.cookie.reveal()
      for (const { store } of replicas) expect((await store.open(cookie)).kind).toBe('found')
      const at = replicas[n % 3]!.store
      expect(await at.end(session.ref, 'user')).toBe('ended')
      expect(at.peek(cookie, nowIn(world))).toBeUndefined()
      for (const { store } of replicas) expect((await store.open(cookie)).kind).toBe('ended')
      await until(() => replicas.every(({ store }) => store.peek(cookie, nowIn(world)) === undefined))
    }
  })
})

it('2^18 nonces and 2^12 seals under one key: none comes twice', () => {
  const nonces = new BigUint64Array(1 << 18)
  for (let n = 0; n < nonces.length; n += 1) nonces[n] = randomNonce().readBigUInt64LE(0) // 64 of its 96 bits say it sharply enough
  nonces.sort()
  for (let n = 1; n < nonces.length; n += 1) if (nonces[n] === nonces[n - 1]) throw new Error('a nonce came twice')
  const sealer = createSealer({ keyring: ephemeralKeyring(instant(Date.now())) })
  const beginnings = Array.from({ length: 1 << 12 }, () => (sealer.seal('card', ['default'], '').split('.')[2] ?? '').slice(0, 16))
  expect(new Set(beginnings).size).toBe(1 << 12) // the nonce stands in front of each text
})

describe('the connection to Redis', () => {
  it.skipIf(!canStartRedis)(
    'needs no more than the rights that docs/storage.md lists: no default user, no other prefix, no command of an administrator',
    async () => {
      const doc = readFileSync(new URL('../../docs/storage.md', import.meta.url), 'utf8')
      const rule = /ACL SETUSER sallyport on >… ([\s\S]*?)```/.exec(doc)?.[1]?.trim().split(/\s+/) ?? []
      expect(rule).toContain('-@all')
      const redis = await startRedis()
      const admin = new Redis(redis.url)
      const dir = await mkdtemp(join(tmpdir(), 'sallyport-acl-'))
      const passwordFile = join(dir, 'password')
      await writeFile(passwordFile, 'CANARY-password\n')
      await admin.set('other:secret', 'CANARY-other')
      await admin.acl('SETUSER', 'sallyport', 'on', '>CANARY-password', ...rule)
      const recorder = new Recorder()
      const stores = (username: string | undefined) =>
        createRedisStores({
          sealer: createSealer({ keyring: ephemeralKeyring(instant(Date.now())) }),
          ...{ clock: systemClock, log: recorder.log, metrics: recorder.metrics, audit: recorder.audit, app: 'default', replica: 'r' },
          settings: { idleTimeoutMs: minutes(60), graceMs: millis(0), l1: { entriesMax: 10, bytesMax: 1 << 20 } },
          redis: { url: redis.url, username, passwordFile, caFile: undefined, serverName: undefined, keyPrefix: 'sallyport' },
        })
      const { sessions, once: onceStore } = stores('sallyport')
      const thief = new Redis(redis.url, { username: 'sallyport', password: 'CANARY-password', retryStrategy: () => null })
      thief.on('error', () => {})
      try {
        await sessions.ready()
        await admin.acl('SETUSER', 'default', 'off')
        await until(() => sessions.mode() === 'live')
        // The life of a session under those rights.
        const created = await sessions.create(aDraft(instant(Date.now()), { tokens: [anAccessToken('orders')] }))
        if (created.kind !== 'created') throw new Error(created.kind)
        const { session } = created
        const lease = await sessions.acquireLease(session.ref, seconds(5))
        if (typeof lease === 'string') throw new Error(lease)
        expect(await sessions.markSpending(lease, session, millis(1000))).toEqual({ kind: 'marked' })
        expect((await sessions.save(session, { grant: aGrant(), tokens: [] })).kind).toBe('saved')
        expect((await sessions.open(session.cookie.reveal())).kind).toBe('found')
        expect(await sessions.end(session.ref, 'user')).toBe('ended')
        expect(await onceStore.claim('state', 'd', minutes(1))).toBe('first')
        expect(await onceStore.put('logout-continue', 'n', 'sealed', minutes(1))).toBe('stored')
        expect(await onceStore.take('logout-continue', 'n')).toBe('sealed')
        // What whoever steals its password cannot do with it.
        for (const command of [
          ['get', 'other:secret'],
          ['keys', '*'],
          ['config', 'get', '*'],
          ['flushall'],
          ['acl', 'list'],
          ['client', 'list'],
        ])
          await expect(thief.call(command[0]!, ...command.slice(1)), command.join(' ')).rejects.toThrow('NOPERM')
        await expect(thief.call('publish', 'other', 'x')).rejects.toThrow('NOPERM')
        const anonymous = new Redis(redis.url, { lazyConnect: true, retryStrategy: () => null })
        anonymous.on('error', () => {})
        await anonymous.connect().catch(() => {})
        await expect(anonymous.ping()).rejects.toThrow(/NOAUTH|closed/)
        anonymous.disconnect()
        expect(recorder.lines.join('\n')).not.toContain('CANARY')
      } finally {
        thief.disconnect()
        admin.disconnect()
        await sessions.close()
        await redis.stop()
        await rm(dir, { recursive: true, force: true })
      }
    },
  )

  it('over TLS says not a byte, and no password, to somebody whose certificate nobody vouches for', async () => {
    const pair = selfSigned({ kind: 'ec' })
    let received = 0
    let refused = 0
    const server = createServer({ cert: pair.certificate, key: pair.key }, (socket) => {
      socket.on('error', () => undefined).on('data', (chunk: Buffer) => (received += chunk.length))
    })
    server.on('tlsClientError', () => (refused += 1))
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const recorder = new Recorder()
    const url = `rediss://127.0.0.1:${(server.address() as AddressInfo).port}`
    const settings = { url, username: 'u', password: Secret.of('redis-password', 'CANARY'), passwordFile: undefined, caFile: undefined }
    const connection = connectRedis({
      settings: { ...settings, serverName: 'localhost', keyPrefix: 't' },
      ...{ clock: systemClock, log: recorder.log, metrics: recorder.metrics },
    })
    await until(() => refused > 0)
    expect([received, connection.reachable()]).toEqual([0, false])
    expect(recorder.lines.join('\n')).not.toContain('CANARY')
    await connection.close()
    server.close()
  })
})
