import { beforeEach, describe, expect, it } from 'vitest'
import type { AuditEvent } from '../../../src/domain/audit-event.ts'
import type { TokenHolder } from '../../../src/domain/broker.ts'
import type { BearerCaller } from '../../../src/domain/caller.ts'
import type { Route } from '../../../src/domain/route.ts'
import type { HeldSession, Opened } from '../../../src/domain/session.ts'
import type { AccessToken, TokenOutcome } from '../../../src/domain/token.ts'
import { createUpstreamRejections, type Replaced, type UpstreamRejections } from '../../../src/flows/upstream-rejections.ts'
import { compileAllow } from '../../../src/policy/decide.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { after, instant, minutes, seconds } from '../../../src/kernel/time.ts'
import { manualClock, type ManualClock } from '../../harness/clock.ts'
import { recordingLog, type LogLine } from '../../harness/provider-room.ts'
import { aRoute } from '../../harness/proxy-host.ts'
import { a, the } from '../../harness/the.ts'

const INVALID = { status: 401, challenge: { isBearer: true, error: 'invalid_token' } } as const
const orders: Route = aRoute(new URL('http://orders:1'), {
  route: { token: { principal: 'user', ask: { ...the.orders, grant: 'refresh' } } },
})
const reports: Route = aRoute(new URL('http://reports:1'), {
  route: { name: 'api/reports', path: '/api/reports', token: { principal: 'app', ask: { ...the.reports, grant: 'client_credentials' } } },
})

let clock: ManualClock
let lines: LogLine[]
let events: AuditEvent[]
let counted: unknown[]
let asked: { readonly whose: TokenHolder; readonly rejected: AccessToken }[]
let answer: (rejected: AccessToken) => Promise<TokenOutcome>
let rejections: UpstreamRejections
let held: HeldSession
/** What the store has after the renewal. */
let newest: Opened

beforeEach(() => {
  clock = manualClock()
  events = []
  counted = []
  asked = []
  held = a.held()
  newest = { kind: 'found', held }
  const recording = recordingLog()
  lines = recording.lines
  answer = async () => ({ kind: 'issued', access: a.accessToken() })
  rejections = createUpstreamRejections({
    broker: {
      replace: async (whose, _ask, rejected) => {
        asked.push({ whose, rejected })
        return answer(rejected)
      },
    },
    log: recording.log,
    store: { reopen: async () => newest },
    decide: (route) => route.allow && compileAllow(route.allow, []),
    metrics: { count: (name, labels) => void counted.push([name, labels]), gauge: () => {}, observe: () => {} },
    audit: { record: (event) => void events.push(event) },
    clock,
  })
})

const note = (
  access: AccessToken,
  over: Partial<Parameters<UpstreamRejections['note']>[0]> = {},
  why: Parameters<UpstreamRejections['note']>[1] = INVALID,
  mayRepeat = true,
): Promise<Replaced> | undefined =>
  rejections.note({ route: orders, requestId: 'r1', principal: 'user', access, held, ...over }, why, mayRepeat)

it('a token that an API calls invalid is replaced, and whoever was refused with it shares what comes', async () => {
  const old = a.accessToken()
  const [first, second] = await Promise.all([note(old), note(old)])
  expect(first).toBeDefined()
  expect(second).toBe(first)
  expect(asked).toHaveLength(1)
  expect(asked[0]?.whose).toEqual({ kind: 'session', held })
  expect(events).toMatchObject([{ event: 'token.rejected-upstream', route: 'api/orders', outcome: 'replaced', subject: 'alice' }])
})

it('an API that refuses every token costs the provider one call a minute per session and audience', async () => {
  for (let second = 0; second < 180; second += 1) {
    await note(a.accessToken())
    await clock.advance(seconds(1))
  }
  expect(asked).toHaveLength(3)
})

it('one token is replaced once, however long it is sent', async () => {
  const old = a.accessToken()
  for (let minute = 0; minute < 10; minute += 1) {
    await note(old)
    await clock.advance(minutes(2))
  }
  expect(asked).toHaveLength(1)
})

it('another session and another audience have minutes of their own', async () => {
  await note(a.accessToken())
  await note(a.accessToken(), { held: a.held() })
  await note(a.accessToken(), { route: reports, principal: 'app' })
  await note(a.accessToken(), { route: reports, principal: 'app', held: a.held() }) // the application is one, whoever calls
  expect(asked.map(({ whose }) => whose.kind)).toEqual(['session', 'session', 'application'])
})

it('a request that cannot be sent twice still brings a new token to whoever comes next', () => {
  expect(note(a.accessToken(), {}, INVALID, false)).toBeUndefined()
  expect(asked).toHaveLength(1)
})

describe('nothing is asked of the provider', () => {
  it.each<[string, Parameters<UpstreamRejections['note']>[1]]>([
    ['401 without a challenge', { status: 401, challenge: undefined }],
    ['401 without a code', { status: 401, challenge: { isBearer: true, error: undefined } }],
    ['another code', { status: 401, challenge: { isBearer: true, error: 'insufficient_user_authentication' } }],
    ['another scheme', { status: 401, challenge: { isBearer: false, error: 'invalid_token' } }],
    ['403', { status: 403, challenge: { isBearer: true, error: 'invalid_token' } }],
  ])('%s', (_what, why) => {
    expect(note(a.accessToken(), {}, why)).toBeUndefined()
    expect(asked).toEqual([])
    expect(counted).toEqual([['sallyport_broker_upstream_rejections_total', { route: 'api/orders', status: String(why.status) }]])
  })

  it('a key from a file, and a token that the caller brought for this very API', () => {
    const token = { ...the.reports, grant: 'static' } as const
    expect(note(a.accessToken(), { route: { ...reports, token: { principal: 'app', ask: token } }, principal: 'app' })).toBeUndefined()
    const caller = { token: Secret.of('access-token', 'x') } as BearerCaller
    const passing = { ...orders, token: { ...orders.token, bearerAsk: { ...the.orders, grant: 'pass_through' } } as Route['token'] }
    expect(note(a.accessToken(), { route: passing, caller, held: undefined })).toBeUndefined()
    expect(asked).toEqual([])
  })
})

it('the very same token again, an ended session and a fault are no replacement, and nothing throws', async () => {
  answer = async (rejected) => ({ kind: 'issued', access: rejected })
  expect(await note(a.accessToken())).toBeUndefined()
  await clock.advance(minutes(2))
  answer = async () => ({ kind: 'refused', code: 'session.ended' })
  expect(await note(a.accessToken())).toBe('session.ended')
  await clock.advance(minutes(2))
  answer = async () => {
    throw new Error('canary')
  }
  expect(await note(a.accessToken())).toBeUndefined()
  expect(events.map((event) => 'outcome' in event && event.outcome)).toEqual(['kept', 'kept', 'kept'])
  expect(JSON.stringify(lines)).not.toContain('canary')
})

it('the log explains it once a minute, with what must be compared and never the token', async () => {
  const secret = 'canary-rejected-token'
  const access = a.accessToken({
    token: Secret.of('access-token', secret),
    expiresAt: after(clock.now(), seconds(90)),
    scopes: ['orders.read'],
  })
  for (let i = 0; i < 50; i += 1) await note(access)
  expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
  expect(lines[0]?.facts).toMatchObject({
    route: 'api/orders',
    status: 401,
    principal: 'user',
    audience: 'api://orders',
    grant: 'refresh',
    scopes: 'orders.read',
    expiresInSeconds: 90,
    upstreamCode: 'invalid_token',
    sessionRef: held.session.ref,
  })
  expect(JSON.stringify([lines, events, counted])).not.toContain('canary')
  expect(counted).toHaveLength(50)
})

// An opaque token or an API key can look like a code, and an API that repeats what it was sent put it into the log.
it('of what an API says in its challenge the log has codes that are known, and nothing else', async () => {
  const key = 'canary.sk_live_0123456789'
  await note(a.accessToken(), {}, { status: 401, challenge: { isBearer: true, error: key } })
  await note(a.accessToken(), {}, { status: 403, challenge: { isBearer: true, error: 'insufficient_scope' } })
  expect(lines.map(({ facts }) => facts['upstreamCode'])).toEqual(['other', 'insufficient_scope'])
  expect(JSON.stringify([lines, events, counted])).not.toContain('canary')
})

it('an API key that an API does not take is explained as what it is: it has no audience, and no end', () => {
  const token = { principal: 'app', ask: { ...the.reports, audience: undefined, grant: 'static' } } as const
  const far = instant(8_640_000_000_000_000)
  void note(
    a.accessToken({ expiresAt: far }),
    { route: { ...reports, token }, principal: 'app', held: undefined },
    { status: 401, challenge: undefined },
  )
  const [line] = lines
  expect(line?.facts).toMatchObject({ grant: 'static', hint: expect.stringContaining('key_file') as string })
  expect(line?.facts).not.toHaveProperty('expiresInSeconds')
})

// Spec §1: rules read the newest ID token's claims. The renewal that a refused token brings may bring others.
it.each<[string, () => Opened, 'sent again' | 'not sent again']>([
  ['still has the role', () => ({ kind: 'found', held: withRoles(['editor']) }), 'sent again'],
  ['lost the role', () => ({ kind: 'found', held: withRoles([]) }), 'not sent again'],
  ['is over', () => ({ kind: 'ended', reason: 'user' }), 'not sent again'],
  ['cannot be looked at', () => ({ kind: 'unavailable' }), 'not sent again'],
])('a request whose session, renewed because of it, %s is %s', async (_what, looked, wanted) => {
  const editors: Route = { ...orders, allow: { kind: 'claim', name: 'roles', anyOf: ['editor'] } }
  held = withRoles(['editor'])
  newest = looked()
  const replaced = await note(a.accessToken(), { route: editors })
  expect(replaced === undefined ? 'not sent again' : 'sent again').toBe(wanted)
  expect(asked).toHaveLength(1) // whoever comes next finds the new token all the same
})
const withRoles = (roles: readonly string[]): HeldSession => {
  const session = a.session()
  return a.held({ ...session, grant: { ...session.grant, claims: { ...session.grant.claims, roles } } })
}
