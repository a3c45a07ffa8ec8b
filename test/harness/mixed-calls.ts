import { createBroker } from '../../src/broker/broker.ts'
import { BROKER_DEFAULTS } from '../../src/broker/deps.ts'
import { makeAsk } from '../../src/broker/token-key.ts'
import { ephemeralKeyring } from '../../src/crypto/keyring.ts'
import { createSealer } from '../../src/crypto/seal.ts'
import type { BearerCaller } from '../../src/domain/caller.ts'
import type { KeyFiles, ServiceAccountKey } from '../../src/domain/key-file.ts'
import type { Provider, ProviderProfile } from '../../src/domain/provider.ts'
import type { HeldSession } from '../../src/domain/session.ts'
import type { SessionStore } from '../../src/domain/session-store.ts'
import type { AccessToken, Ask, TokenOutcome } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, type Clock, instant, millis, minutes, seconds } from '../../src/kernel/time.ts'
import { createMemoryStores } from '../../src/session/store-memory.ts'
import { createFakeProvider, type FakeProviderPort } from './fake-provider-port.ts'
import { createRandom } from './faults/random.ts'
import { a } from './the.ts'

const base = makeAsk('refresh', undefined, [])
const shop = makeAsk('refresh', 'api://shop', ['self'])
const actor = makeAsk('client_credentials', 'api://actor', [])
const refreshed = ['orders', 'invoices', 'stock'].map((name) => makeAsk('refresh', `api://${name}`, [`${name}.read`]))
/** Each has an audience of its own, so that a token tells which ask it was issued for. */
const USER_ASKS: readonly Ask[] = [
  ...refreshed,
  makeAsk('exchange', 'x://orders', [], { subject: base }),
  makeAsk('exchange', 'x://invoices', ['invoices.read'], { subject: base, actor }),
  makeAsk('on_behalf_of', 'obo://orders', [], { subject: shop }),
  makeAsk('service_account', 'sa://calendar', ['calendar'], { keyFile: '/sa.json', subjectClaim: 'email' }),
]
const APP_ASKS: readonly Ask[] = [
  makeAsk('client_credentials', 'app://reports', []),
  makeAsk('client_credentials', 'app://audit', ['read']),
]
const STATIC_ASKS: readonly Ask[] = ['/one', '/two'].map((keyFile) => makeAsk('static', undefined, [], { keyFile }))
const BEARER_ASKS: readonly Ask[] = [
  makeAsk('on_behalf_of', 'b-obo://orders', []),
  makeAsk('exchange', 'b-x://orders', [], { actor }),
  makeAsk('pass_through', 'b-pass://orders', []),
]
const KEYS = new Map(['/one', '/two'].map((file) => [file, Secret.of('access-token', `key of ${file}`)]))
const keyFiles: KeyFiles = {
  apiKey: (file) => KEYS.get(file),
  serviceAccount: () => ({ email: 'sa@project.example' }) as ServiceAccountKey,
}

export interface MixedCalls {
  readonly calls: number
  readonly seed: number
  readonly rotation: ProviderProfile['rotation']
  /** Wraps the provider: a test of the test makes it mix people up. */
  readonly provider?: (real: FakeProviderPort) => Provider
}

export interface MixedResult {
  readonly calls: number
  readonly issued: number
  /** Answered from memory, without a promise. */
  readonly peeked: number
  readonly notIssued: Readonly<Record<string, number>>
  readonly tokenCalls: number
  readonly ended: number
  /** Tokens of another user, for another audience, or of another kind. */
  readonly crossed: readonly string[]
}

interface Visitor {
  readonly user: string
  cookie: string
}

const USERS = 60
const SESSIONS = 150
const CALLERS = 40
const AT_ONCE = 40
/** Of the clock, per round: tokens live a minute, so each is renewed many times in a long run. */
const STEP = millis(40)

/**
 * Sessions, callers and the application ask for tokens by every strategy, many at once, through the real broker over the real memory store and its copies;
 * sessions come and go, the provider says no and gets lost now and then. Every token that comes back is held against who asked for what.
 */
export const runMixedCalls = async ({ calls, seed, rotation, provider: wrapped }: MixedCalls): Promise<MixedResult> => {
  const { next: random, pick } = createRandom(seed)
  let now = instant(Date.UTC(2026, 10, 2, 8))
  const clock: Clock = { now: () => now, sleep: brief }
  const real = createFakeProvider({ clock, rotation, lifeMs: seconds(60) })
  const provider = wrapped?.(real) ?? real
  const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const metrics = { count: () => {}, gauge: () => {}, observe: () => {} }
  const audit = { record: () => {} }
  const sealer = createSealer({ keyring: ephemeralKeyring(now) })
  const stores = createMemoryStores({
    sealer,
    clock,
    log: quiet,
    metrics,
    audit,
    app: 'default',
    replica: 'mixed',
    settings: { idleTimeoutMs: minutes(600), graceMs: minutes(600), l1: { entriesMax: 100, bytesMax: 64 * 1024 * 1024 } },
  })
  const store: SessionStore = stores.sessions
  const broker = createBroker({
    store,
    provider,
    clock,
    log: quiet,
    metrics,
    audit,
    keys: keyFiles,
    asks: [...refreshed, base, shop],
    settings: { ...BROKER_DEFAULTS, refusalMs: seconds(2), recheckMs: minutes(60), recheckGraceMs: minutes(60) },
  })

  const signIn = async (user: string): Promise<string> => {
    const claims = { sub: user, email: `${user}@shop.example`, email_verified: true }
    const draft = a.draft({ now, card: { subject: user }, grant: { claims, refreshToken: real.grant(user) } })
    const created = await store.create(draft)
    if (created.kind !== 'created') throw new Error(`not created: ${created.kind}`)
    return created.session.cookie.reveal()
  }
  const visitors: Visitor[] = []
  for (let i = 0; i < SESSIONS; i += 1) visitors.push({ user: `user-${i % USERS}`, cookie: await signIn(`user-${i % USERS}`) })
  let serial = 0
  const newCaller = (): BearerCaller => {
    const subject = `user-${Math.floor(random() * USERS)}`
    return {
      kind: 'user',
      issuer: 'https://login.example.com',
      subject,
      clientId: 'native',
      tenant: undefined,
      audiences: ['gateway', 'b-pass://orders'],
      scopes: [],
      roles: [],
      claims: {},
      token: Secret.of('access-token', JSON.stringify({ subject, audience: 'gateway', serial: `caller-${(serial += 1)}` })),
      issuedAt: now,
      expiresAt: after(now, seconds(30 + Math.floor(random() * 60))),
    }
  }
  const callers = Array.from({ length: CALLERS }, newCaller)

  const crossed: string[] = []
  const notIssued: Record<string, number> = {}
  let [issued, peeked, ended] = [0, 0, 0]
  const check = (what: string, access: AccessToken, ask: Ask, subject: string): void => {
    issued += 1
    if (crossed.length > 20) return
    const told = JSON.parse(access.token.reveal()) as { subject: string; audience: string | undefined }
    if (told.subject !== subject || told.audience !== ask.audience || access.key !== ask.key)
      crossed.push(`${what}: ${subject} asked for ${ask.grant} ${ask.audience} and got ${told.subject} ${told.audience}`)
  }
  const settled = (what: string, outcome: TokenOutcome, ask: Ask, subject: string): void => {
    if (outcome.kind === 'issued') check(what, outcome.access, ask, subject)
    else notIssued[outcome.code] = (notIssued[outcome.code] ?? 0) + 1
  }

  const ofSession = async (): Promise<void> => {
    const visitor = pick(visitors)
    const ask = pick(USER_ASKS)
    const { cookie, user } = visitor
    const subject = ask.grant === 'service_account' ? `${user}@shop.example` : user
    const held = store.peek(cookie, now) ?? (await opened(store, cookie))
    if (!held) {
      // Ended while we asked, or by the provider: the visitor signs in again, and may be somebody else's turn at the same machine.
      if (visitor.cookie === cookie) visitor.cookie = await signIn(user)
      return
    }
    const peek = broker.peekUser(held, ask, now)
    if (peek) {
      peeked += 1
      return check('peekUser', peek, ask, subject)
    }
    settled('user', await broker.user(held, ask), ask, subject)
  }
  const ofApplication = async (): Promise<void> => {
    const ask = pick(APP_ASKS)
    const peek = broker.peekApp(ask, now)
    if (peek) peeked += 1
    settled('app', peek ? { kind: 'issued', access: peek } : await broker.app(ask), ask, 'the application')
  }
  const ofKeyFile = async (): Promise<void> => {
    const ask = pick(STATIC_ASKS)
    const access = broker.peekApp(ask, now)
    issued += 1
    peeked += 1
    if (access?.token !== KEYS.get(ask.keyFile ?? '')) crossed.push(`static: ${ask.keyFile} yielded another key`)
  }
  const ofCaller = async (): Promise<void> => {
    const at = Math.floor(random() * callers.length)
    const ask = pick(BEARER_ASKS)
    if (random() < 0.01 || (callers[at]?.expiresAt ?? 0) - now < 2000) callers[at] = newCaller()
    const caller = callers[at] as BearerCaller
    const peek = broker.peekBearer(caller, ask, now)
    if (peek) peeked += 1
    const outcome: TokenOutcome = peek ? { kind: 'issued', access: peek } : await broker.bearer(caller, ask)
    if (ask.grant !== 'pass_through' || outcome.kind !== 'issued') return settled('bearer', outcome, ask, caller.subject)
    issued += 1
    if (outcome.access.token !== caller.token) crossed.push('pass_through: not the caller’s own token')
  }
  const trouble = async (): Promise<void> => {
    const luck = random()
    if (luck < 0.3) real.answerNext({ kind: 'refused', reason: 'audience-denied', providerCode: 'planted' })
    else if (luck < 0.6) real.answerNext({ kind: 'unavailable', sent: 'not-sent', retryAfter: millis(100), cause: 'planted' })
    else {
      const held = store.peek(pick(visitors).cookie, now)
      if (held && (await store.end(held.session.ref, 'user')) === 'ended') ended += 1
    }
  }

  for (let done = 0; done < calls; done += AT_ONCE) {
    now = after(now, STEP)
    if (random() < 0.1) await trouble()
    const round = Array.from({ length: Math.min(AT_ONCE, calls - done) }, (): Promise<void> => {
      const luck = random()
      if (luck < 0.7) return ofSession()
      if (luck < 0.8) return ofApplication()
      return luck < 0.85 ? ofKeyFile() : ofCaller()
    })
    await Promise.all(round)
  }
  await broker.drain(seconds(5))
  broker.close()
  await store.close()
  return {
    calls,
    issued,
    peeked,
    notIssued,
    tokenCalls: real.sends.length + real.derivations.length + real.applications.length,
    ended,
    crossed,
  }
}

const opened = async (store: SessionStore, cookie: string): Promise<HeldSession | undefined> => {
  const found = await store.open(cookie)
  return found.kind === 'found' ? found.held : undefined
}

/** Whoever waits here waits for others in this very process, and they need no time but turns. */
const brief: Clock['sleep'] = (_length, signal) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason as Error)
    const timer = setTimeout(resolve, 1)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(signal.reason as Error)
    })
  })
