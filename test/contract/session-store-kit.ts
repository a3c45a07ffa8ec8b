import { once } from 'node:events'
import { Cluster, Redis } from 'ioredis'
import { createSealer } from '../../src/crypto/seal.ts'
import { ephemeralKeyring } from '../../src/crypto/keyring.ts'
import type { AuditEvent } from '../../src/domain/audit-event.ts'
import type { Metrics } from '../../src/domain/metric.ts'
import type { Sealer } from '../../src/domain/sealer.ts'
import type { Card, Grant, Session } from '../../src/domain/session.ts'
import type { OnceStore, SessionDraft, SessionStore } from '../../src/domain/session-store.ts'
import type { AccessToken, TokenKey } from '../../src/domain/token.ts'
import type { Log } from '../../src/kernel/ports.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, instant, millis, minutes, seconds } from '../../src/kernel/time.ts'
import type { Clock, Instant, Millis } from '../../src/kernel/time.ts'
import { createMemoryChannel } from '../../src/session/event-channel-memory.ts'
import { redisKeys } from '../../src/session/keys-redis.ts'
import { createRedisOnceStore } from '../../src/session/once-store-redis.ts'
import { createMemoryOnceStore } from '../../src/session/once-store.ts'
import { openRedis } from '../../src/session/open-redis.ts'
import { createMemoryRecords } from '../../src/session/records-memory.ts'
import { createRedisRecords } from '../../src/session/records-redis.ts'
import type { SessionRecords } from '../../src/session/records.ts'
import { SCRIPTS } from '../../src/session/scripts-redis.ts'
import type { Scripts } from '../../src/session/scripts-redis.ts'
import { createSessionStore } from '../../src/session/session-store.ts'
import type { RedisProof, RedisServers } from '../../src/session/settings-redis.ts'
import { keyPrefix, sharedRedisUrl } from '../harness/redis.ts'
import { createLeastUser } from '../harness/redis-rights.ts'

export const APP = 'default'
export const ISSUER = 'https://login.example'
/** Planted wherever a secret flows; searched for wherever none may be. */
export const CANARY = {
  refresh: 'CANARY-refresh-token',
  access: 'CANARY-access-token',
  id: 'CANARY-id-token',
  claim: 'CANARY-claim',
}

/** Moves by hand. For Redis, whose own clock does not, it starts at the present. */
export class HandClock implements Clock {
  #now: number = Date.now()
  now(): Instant {
    return instant(this.#now)
  }
  advance(by: Millis): void {
    this.#now += by
  }
  async sleep(): Promise<void> {}
}

/** Counts and keeps lines, so that tests can look at them. */
export class Recorder {
  readonly lines: string[] = []
  readonly counts = new Map<string, number>()
  readonly events: AuditEvent[] = []
  readonly log: Log = Object.fromEntries(
    ['debug', 'info', 'warn', 'error'].map((level) => [
      level,
      (facts: object, message: string) => void this.lines.push(`${level} ${message} ${JSON.stringify(facts)}`),
    ]),
  ) as unknown as Log
  readonly metrics: Metrics = {
    count: (name, labels) => {
      const key = `${name} ${Object.values(labels).join(' ')}`.trim()
      this.counts.set(key, (this.counts.get(key) ?? 0) + 1)
    },
    gauge: () => {},
    observe: () => {},
  }
  readonly audit = { record: (event: AuditEvent): void => void this.events.push(event) }
}

export interface ReplicaRequest {
  readonly clock?: Clock
  readonly sealer?: Sealer
  readonly idleTimeoutMs?: Millis
  readonly graceMs?: Millis
  readonly entriesMax?: number
  readonly bytesMax?: number
  /** Between the store and its records: barriers, faults. */
  readonly between?: (records: SessionRecords) => SessionRecords
  readonly scripts?: Scripts
}
export interface Replica {
  readonly store: SessionStore
  readonly once: OnceStore
  readonly records: SessionRecords
  readonly recorder: Recorder
}

/** One kind of store with its data, on which any number of replicas run. */
export interface World {
  readonly kind: 'memory' | 'redis'
  readonly sealer: Sealer
  readonly clock: HandClock
  replica(request?: ReplicaRequest): Promise<Replica>
  /** Lets `length` pass: by hand in memory; for real in Redis, whose clock is its own. */
  pass(length: Millis): Promise<void>
  /** Everything the store holds, as text. */
  dump(): Promise<string>
  /** A client of our own, for tampering; Redis only. */
  readonly raw: Redis | undefined
  readonly keys: ReturnType<typeof redisKeys>
  close(): Promise<void>
}

const storeOf = (
  parts: Pick<Parameters<typeof createSessionStore>[0], 'records' | 'connection' | 'channel' | 'sealer' | 'clock'>,
  recorder: Recorder,
  request: ReplicaRequest,
  name: string,
): SessionStore =>
  createSessionStore({
    ...parts,
    log: recorder.log,
    metrics: recorder.metrics,
    audit: recorder.audit,
    app: APP,
    replica: name,
    settings: {
      idleTimeoutMs: request.idleTimeoutMs ?? minutes(60),
      graceMs: request.graceMs ?? millis(0),
      l1: { entriesMax: request.entriesMax ?? 100, bytesMax: request.bytesMax ?? 16 * 1024 * 1024 },
    },
  })

export const memoryWorld = async (): Promise<World> => {
  const clock = new HandClock()
  const sealer = createSealer({ keyring: ephemeralKeyring(clock.now()) })
  const channel = createMemoryChannel()
  const records = createMemoryRecords({ clock, announce: channel.announce })
  const once = createMemoryOnceStore({ clock })
  const since = clock.now()
  let count = 0
  const open: SessionStore[] = []
  return {
    kind: 'memory',
    sealer,
    clock,
    replica: async (request = {}) => {
      const recorder = new Recorder()
      count += 1
      const mine = request.between ? request.between(records) : records
      const connection = {
        reachable: () => true,
        connectedSince: () => since,
        serverAge: () => millis(Number.POSITIVE_INFINITY),
        onReplaced: () => {},
        onReachable: (f: () => void) => f(),
        close: async () => {},
      }
      const parts = { records: mine, connection, channel: channel.open(), sealer: request.sealer ?? sealer, clock: request.clock ?? clock }
      const store = storeOf(parts, recorder, request, `replica-${count}`)
      open.push(store)
      return { store, once, records: mine, recorder }
    },
    pass: async (length) => clock.advance(length),
    dump: async () => records.dump(),
    raw: undefined,
    keys: redisKeys('none', APP),
    close: async () => void (await Promise.all(open.map((store) => store.close()))),
  }
}

export interface RedisWorldRequest {
  readonly servers: RedisServers
  readonly proof?: Partial<RedisProof>
  /** The store works as a user with the rights of docs/storage.md, on the keys of this world. Not behind sentinels: users are not replicated. */
  readonly leastRights?: boolean
}

const NO_PROOF: RedisProof = { username: undefined, passwordFile: undefined, caFile: undefined, serverName: undefined }

export const redisWorld = async (at: string | RedisWorldRequest = sharedRedisUrl ?? ''): Promise<World> => {
  const { servers, proof, leastRights = false }: RedisWorldRequest = typeof at === 'string' ? { servers: { url: at } } : at
  const clock = new HandClock()
  const sealer = createSealer({ keyring: ephemeralKeyring(clock.now()) })
  const prefix = keyPrefix()
  const keys = redisKeys(prefix, APP)
  const raw = rawClient(servers)
  if (raw instanceof Cluster) await once(raw, 'ready')
  const least = leastRights ? await createLeastUser(raw instanceof Cluster ? raw.nodes('master') : [raw], prefix) : undefined
  const settings = { ...servers, ...NO_PROOF, ...proof, ...least?.proof, keyPrefix: prefix }
  let count = 0
  const open: SessionStore[] = []
  const wall: Clock = { now: () => instant(Date.now()), sleep: async () => {} }
  return {
    kind: 'redis',
    sealer,
    clock,
    replica: async (request = {}) => {
      const recorder = new Recorder()
      count += 1
      const mineClock = request.clock ?? wall
      const redis = { settings, clock: mineClock, log: recorder.log, metrics: recorder.metrics }
      const { connection, channel } = openRedis(redis, keys.channel)
      const plain = createRedisRecords({ connection, keys, scripts: request.scripts ?? SCRIPTS })
      const records = request.between ? request.between(plain) : plain
      const parts = { records, connection, channel, sealer: request.sealer ?? sealer, clock: mineClock }
      const store = storeOf(parts, recorder, request, `replica-${count}`)
      open.push(store)
      await store.ready()
      await until(() => store.mode() === 'live')
      return { store, once: createRedisOnceStore({ connection, keys }), records, recorder }
    },
    pass: async (length) => void (await new Promise((resolve) => setTimeout(resolve, length))),
    dump: async () => {
      const parts: string[] = []
      for (const node of raw instanceof Redis ? [raw] : raw.nodes('master'))
        for await (const names of node.scanStream({ match: `${prefix}:*`, count: 500 }))
          for (const name of names as string[]) parts.push(name, JSON.stringify(await valueOf(node, name)))
      return parts.join('\n')
    },
    raw: raw instanceof Redis ? raw : undefined,
    keys,
    close: async () => {
      await Promise.all(open.map((store) => store.close()))
      await least?.remove()
      raw.disconnect()
    },
  }
}

const rawClient = (servers: RedisServers): Redis | Cluster => {
  if ('cluster' in servers) return new Cluster([...servers.cluster.nodes])
  const raw =
    'url' in servers
      ? new Redis(servers.url, { retryStrategy: () => 50 })
      : new Redis({ sentinels: [...servers.sentinel.nodes], name: servers.sentinel.name, retryStrategy: () => 50 })
  raw.on('error', () => {})
  return raw
}

export const valueOf = async (raw: Redis, name: string): Promise<unknown> => {
  const type = await raw.type(name)
  if (type === 'hash') return raw.hgetall(name)
  if (type === 'zset') return raw.zrange(name, 0, '-1', 'WITHSCORES')
  return raw.get(name)
}

/** Waits for what another connection brings; fails loudly instead of passing late. */
export const until = async (condition: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> => {
  const deadline = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not happen in time')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export const anAccessToken = (key: string, now: Instant = instant(Date.now()), token = `${CANARY.access}-${key}`): AccessToken => ({
  key: key.padEnd(22, '0') as TokenKey,
  token: Secret.of('access-token', token),
  issuedAt: now,
  expiresAt: after(now, minutes(5)),
  scopes: ['orders.read'],
})

export const aGrant = (now: Instant = instant(Date.now()), over: Partial<Grant> = {}): Grant => ({
  issuer: ISSUER,
  refreshToken: Secret.of('refresh-token', `${CANARY.refresh}-1`),
  refreshEndsAt: undefined,
  claims: { sub: 'alice', iat: Math.floor(now / 1000), email: CANARY.claim, roles: ['buyer'] },
  idToken: Secret.of('id-token', CANARY.id),
  providerSessionId: 'provider-session-1',
  scopes: ['openid'],
  confirmedAt: now,
  ...over,
})

export interface DraftRequest {
  readonly endsIn?: Millis
  readonly card?: Partial<Card>
  readonly grant?: Partial<Grant>
  readonly tokens?: readonly AccessToken[]
}
export const aDraft = (
  now: Instant = instant(Date.now()),
  { endsIn = minutes(600), card, grant, tokens }: DraftRequest = {},
): SessionDraft => ({
  card: {
    app: APP,
    provider: 'default',
    tenant: 'tenant-1',
    subject: 'alice',
    createdAt: now,
    endsAt: after(now, endsIn),
    browser: 'Firefox on Linux',
    address: '203.0.113.0/24',
    ...card,
  },
  grant: aGrant(now, grant),
  tokens: tokens ?? [anAccessToken('orders', now)],
})

/** A new session, or the test is over. */
export const created = async (store: SessionStore, request?: DraftRequest, now?: Instant): Promise<Session> => {
  const result = await store.create(aDraft(now, request))
  if (result.kind !== 'created') throw new Error(`not created: ${result.kind}`)
  return result.session
}

/** The cookie text with another data key: same session id, last character moved. */
export const otherDataKey = (cookie: string): string => `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}`
export const LEASE = seconds(10)
