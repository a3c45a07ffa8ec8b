import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { ephemeralKeyring } from '../src/crypto/keyring.ts'
import { createSealer } from '../src/crypto/seal.ts'
import type { Metrics } from '../src/domain/metric.ts'
import type { SessionDraft } from '../src/domain/session-store.ts'
import type { AccessToken, TokenKey } from '../src/domain/token.ts'
import type { Log } from '../src/kernel/ports.ts'
import { Secret } from '../src/kernel/secret.ts'
import { after, instant, millis, minutes, systemClock } from '../src/kernel/time.ts'
import { createRedisStores } from '../src/session/store-redis.ts'
import { startRedisServer } from '../test/harness/redis-server.ts'
import { findProgram } from '../test/harness/redis.setup.ts'

/**
 * What a session weighs: in Redis, in the memory of a replica, and at the start of one. Figures in docs/storage.md are from here.
 * Needs `--expose-gc`; takes about a minute.
 */
const SESSIONS = Number(process.env['SESSIONS'] ?? 100_000)
/** Sealing is synchronous: with more at once, answers that are there are read too late and count as timeouts. */
const AT_ONCE = 32
const ENTRIES_MAX = 10_000
const BYTES_MAX = 64 * 1024 * 1024
const KIB = 1024

const gauges = new Map<string, number>()
const metrics: Metrics = { count: () => {}, gauge: (name, value) => void gauges.set(name, value), observe: () => {} }
const silent = (): void => {}
const log: Log = { debug: silent, info: silent, warn: silent, error: silent }
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const mib = (bytes: number): string => `${(bytes / KIB / KIB).toFixed(1)} MiB`

/** As incompressible as a token is. */
const token = (chars: number): string =>
  randomBytes(Math.ceil((chars * 3) / 4))
    .toString('base64url')
    .slice(0, chars)

interface Sizes {
  readonly refreshToken: number
  readonly idToken: number
  readonly accessTokens: readonly number[]
}
const USUAL: Sizes = { refreshToken: 2048, idToken: 1229, accessTokens: [1229, 1229, 1229] }
/** Many groups in every token. */
const LARGE: Sizes = { refreshToken: 4096, idToken: 6144, accessTokens: [5120, 5120] }

const draft = (sizes: Sizes, n: number): SessionDraft => {
  const now = instant(Date.now())
  const accessToken = (chars: number, i: number): AccessToken => ({
    key: `audience-${i}`.padEnd(22, '0') as TokenKey,
    token: Secret.of('access-token', token(chars)),
    issuedAt: now,
    expiresAt: after(now, minutes(5)),
    scopes: ['orders.read'],
  })
  const subject = `subject-${n}`
  return {
    card: {
      app: 'default',
      provider: 'default',
      tenant: 'tenant-1',
      subject,
      createdAt: now,
      endsAt: after(now, minutes(600)),
      browser: 'Firefox on Linux',
      address: '203.0.113.0/24',
    },
    grant: {
      issuer: 'https://login.example',
      refreshToken: Secret.of('refresh-token', token(sizes.refreshToken)),
      refreshEndsAt: undefined,
      claims: { sub: subject, name: 'Ada Lovelace', email: `${subject}@example.com`, iat: Math.floor(now / 1000), roles: ['buyer'] },
      idToken: Secret.of('id-token', token(sizes.idToken)),
      providerSessionId: `provider-session-${n}`,
      scopes: ['openid', 'profile', 'offline_access'],
      confirmedAt: now,
    },
    tokens: sizes.accessTokens.map(accessToken),
  }
}

const program = await findProgram()
if (!program) throw new Error('no redis-server here')
const server = await startRedisServer(program, { args: ['--appendonly', 'no'] })
const raw = new Redis(server.url)
const sealer = createSealer({ keyring: ephemeralKeyring(instant(Date.now())) })
const openStore = () =>
  createRedisStores({
    ...{ sealer, clock: systemClock, log, metrics, audit: { record: silent }, app: 'default', replica: 'measure' },
    settings: { idleTimeoutMs: minutes(60), graceMs: millis(15_000), l1: { entriesMax: ENTRIES_MAX, bytesMax: BYTES_MAX } },
    redis: {
      url: server.url,
      username: undefined,
      passwordFile: undefined,
      caFile: undefined,
      serverName: undefined,
      keyPrefix: 'sallyport',
    },
  }).sessions
const isLive = async (store: ReturnType<typeof openStore>): Promise<void> => {
  await store.ready()
  while (store.mode() !== 'live') await systemClock.sleep(millis(5))
}
const usedMemory = async (): Promise<number> => Number(/^used_memory:(\d+)/m.exec(await raw.info('memory'))?.[1])
const heap = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
const create = async (store: ReturnType<typeof openStore>, sizes: Sizes, n: number) => {
  // A machine that is busy with something else may keep an answer waiting for longer than a command has time.
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const made = await store.create(draft(sizes, n))
    if (made.kind === 'created') return made.session
    await systemClock.sleep(millis(50))
  }
  throw new Error('Redis does not keep up')
}

try {
  const store = openStore()
  await isLive(store)

  // 1. One session, key by key.
  for (const [name, sizes] of Object.entries({ usual: USUAL, large: LARGE })) {
    await raw.flushall()
    const tokens = sizes.refreshToken + sizes.idToken + sizes.accessTokens.reduce((sum, chars) => sum + chars, 0)
    const { ref } = await create(store, sizes, 0)
    const record = Number(await raw.memory('USAGE', `sallyport:session:{default.${ref}}`, 'SAMPLES', 0))
    let all = 0
    for (const key of await raw.keys('*')) if (!key.includes(':keys:')) all += Number(await raw.memory('USAGE', key, 'SAMPLES', 0))
    say(
      `${name}: tokens ${tokens} bytes; in Redis the record ${record}, with idle stamp and indexes ${all}, ${(all / tokens).toFixed(2)} x`,
    )
  }

  // 2. Many.
  await raw.flushall()
  const empty = await usedMemory()
  const started = performance.now()
  for (let n = 0; n < SESSIONS; n += AT_ONCE)
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, SESSIONS - n) }, (_, i) => create(store, USUAL, n + i)))
  const seconds = (performance.now() - started) / 1000
  const used = (await usedMemory()) - empty
  say(`${SESSIONS} sessions: ${mib(used)} in Redis, ${Math.round(used / SESSIONS)} bytes each; created in ${seconds.toFixed(1)} s`)

  // 3. The copies in memory, at their bound.
  const entries = gauges.get('sallyport_session_l1_entries') ?? 0
  const full = heap()
  await store.close()
  const copies = full - heap()
  say(
    `copies in memory at the bound (${ENTRIES_MAX} entries, ${mib(BYTES_MAX)}): ${entries} entries, ${mib(copies)} of heap, ${Math.round(copies / entries)} bytes each`,
  )

  // 4. A replica that starts.
  const begun = performance.now()
  const next = openStore()
  await isLive(next)
  say(`a replica that starts: live after ${Math.round(performance.now() - begun)} ms, with ${SESSIONS} sessions in Redis`)
  await next.close()
} finally {
  raw.disconnect()
  await server.stop()
}
