import { createHash } from 'node:crypto'
import type { Card, Grant, HeldSession, Session, SessionRef } from '../../src/domain/session.ts'
import type { SessionDraft } from '../../src/domain/session-store.ts'
import type { AccessToken, Ask, Claims, TokenKey } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { after, instant, type Instant, minutes } from '../../src/kernel/time.ts'

const bytes = (seed: string, length: number): Buffer => createHash('shake256', { outputLength: length }).update(seed).digest()
const tokenKey = (seed: string): TokenKey => bytes(seed, 16).toString('base64url') as TokenKey
const MONDAY_MORNING = instant(Date.UTC(2026, 10, 2, 8))

const claimsOf = (sub: string, name: string): Claims => ({ sub, name, email: `${sub}@example.com`, roles: ['reader'] })
const askOf = (name: string, grant: Ask['grant'] = 'refresh'): Ask => ({
  grant,
  audience: `api://${name}`,
  scopes: [`${name}.read`],
  key: tokenKey(`${grant} ${name}`),
})

/** The fixed values of the tests: never changed by one, the same everywhere. */
export const the = {
  /** Where `manualClock()` starts. */
  now: MONDAY_MORNING,
  issuer: 'https://login.example.com',
  origin: 'https://shop.example.com',
  clientId: 'shop-gateway',
  alice: { sub: 'alice', claims: claimsOf('alice', 'Alice Liddell') },
  bob: { sub: 'bob', claims: claimsOf('bob', 'Bob Stone') },
  orders: askOf('orders'),
  invoices: askOf('invoices'),
  reports: askOf('reports', 'client_credentials'),
} as const

type Some<T> = { readonly [K in keyof T]?: T[K] | undefined }

const card = (now: Instant, over: Some<Card> = {}): Omit<Card, 'ref'> => ({
  app: 'default',
  provider: 'default',
  tenant: undefined,
  subject: the.alice.sub,
  createdAt: now,
  endsAt: after(now, minutes(600)),
  browser: 'Firefox on Linux',
  address: '192.0.2.0/24',
  ...defined(over),
})

const grant = (now: Instant, over: Some<Grant> = {}): Grant =>
  ({
    issuer: the.issuer,
    refreshToken: Secret.of('refresh-token', `rt-${bytes('refresh', 12).toString('hex')}`),
    refreshEndsAt: undefined,
    claims: the.alice.claims,
    idToken: undefined,
    providerSessionId: 'provider-session-1',
    scopes: ['openid', 'profile', 'orders.read'],
    confirmedAt: now,
    ...over,
  }) as Grant

const defined = <T extends object>(some: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(some).filter(([, value]) => value !== undefined)) as { [K in keyof T]: Exclude<T[K], undefined> }

let made = 0

/** Builders: something valid, with what the test is about put over it. */
export const a = {
  accessToken: ({ ask = the.orders, now = the.now, ...over }: Some<AccessToken> & { ask?: Ask; now?: Instant } = {}): AccessToken => ({
    key: ask.key,
    token: Secret.of('access-token', `at-${bytes(`access ${made++}`, 12).toString('hex')}`),
    issuedAt: now,
    expiresAt: after(now, minutes(5)),
    scopes: ask.scopes,
    ...defined(over),
  }),

  /** What a login hands to the store. */
  draft: ({
    now = the.now,
    ...over
  }: {
    now?: Instant
    card?: Some<Card>
    grant?: Some<Grant>
    tokens?: readonly AccessToken[]
  } = {}): SessionDraft => ({
    card: card(now, over.card),
    grant: grant(now, over.grant),
    tokens: over.tokens ?? [],
  }),

  /** A session as a store would have opened it, with a cookie of its own. */
  session: ({
    now = the.now,
    ...over
  }: {
    now?: Instant
    card?: Some<Card>
    grant?: Some<Grant>
    tokens?: readonly AccessToken[]
    gen?: number
    rtGen?: number
  } = {}): Session => {
    const cookie = bytes(`cookie ${made++}`, 48)
    const ref = createHash('sha256').update(cookie.subarray(0, 16)).digest().subarray(0, 16).toString('base64url') as SessionRef
    return {
      ref,
      cookie: Secret.of('session-cookie', cookie.toString('base64url')),
      card: { ...card(now, over.card), ref },
      grant: grant(now, over.grant),
      tokens: new Map((over.tokens ?? []).map((token) => [token.key, token])),
      gen: over.gen ?? 1,
      rtGen: over.rtGen ?? 1,
    }
  },

  held: (session: Session = a.session(), over: Some<HeldSession> = {}): HeldSession => ({
    session,
    lastSeenAt: session.card.createdAt,
    stale: false,
    ...defined(over),
  }),
}
