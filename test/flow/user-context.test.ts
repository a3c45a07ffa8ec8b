import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify, type JWTPayload } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { cpuMs } from '../harness/cpu-time.ts'
import { ephemeralKeyring, type VisibleKeyring } from '../../src/crypto/keyring.ts'
import { openKeyringFiles } from '../../src/crypto/keyring-file.ts'
import { rotateKeys } from '../../src/crypto/rotate-keys-file.ts'
import { createUserContextKeys } from '../../src/crypto/user-context.ts'
import type { BearerCaller } from '../../src/domain/caller.ts'
import type { Route } from '../../src/domain/route.ts'
import type { Claims } from '../../src/domain/token.ts'
import { callerIdentity } from '../../src/flows/caller-identity.ts'
import { createFileWatch } from '../../src/kernel/file-watch.ts'
import type { FileWatch } from '../../src/kernel/file-watch.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { instant, minutes } from '../../src/kernel/time.ts'
import { edgeHost, fetching, signedIn, type EdgeHost } from '../harness/edge-host.ts'
import { aRoute } from '../harness/proxy-host.ts'
import { a, the } from '../harness/the.ts'
import { FakeClock, FakeLog } from '../unit/crypto/fakes.ts'

const AUDIENCE = 'api://reports'
const HEADER = 'sallyport-user-context'
const KEYS = '/.well-known/sallyport/context-jwks.json'

/** An API that believes the signed context and nothing else: it fetches the keys, as any JOSE library does. */
interface Heard {
  readonly payload: JWTPayload | undefined
  readonly raw: readonly string[]
  readonly headers: Readonly<Record<string, unknown>>
  readonly kid: string | undefined
}

let dir: string
let clock: FakeClock
let ring: VisibleKeyring
let watch: FileWatch
let host: EdgeHost
let cookie = ''
let heard: Heard[] = []

const routes = (upstream: URL): readonly Route[] => [
  aRoute(upstream, {
    route: {
      name: 'api/reports',
      path: '/api/reports',
      upstreamPath: '/api/reports',
      token: { principal: 'app', ask: { ...the.reports, grant: 'client_credentials' } },
      userContext: AUDIENCE,
    },
    headers: {
      requestIdentity: [
        { header: 'x-user', claim: 'sub' },
        { header: 'x-name', claim: 'name' },
        { header: 'x-roles', claim: 'roles' },
        { header: 'x-employee', claim: 'sub' },
      ],
    },
  }),
  aRoute(upstream, {
    route: { name: 'api/plain', path: '/api/plain', upstreamPath: '/api/plain', token: { principal: 'none' } },
  }),
]

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-context-'))
  clock = new FakeClock(instant(Date.now()))
  await rotateKeys(dir, clock.now())
  watch = createFileWatch({ clock, log: new FakeLog() })
  ring = await openKeyringFiles({ dir, settleMs: minutes(5), clock, log: new FakeLog(), watch, setting: 'user_context.keys_dir' })
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined
  host = await edgeHost({
    routes,
    contextKeyring: ring,
    contextClaims: ['email', 'roles', 'absent'],
    upstream: (request, response) => {
      const url = new URL(host.origin)
      keys ??= createRemoteJWKSet(new URL(KEYS, url), {
        cooldownDuration: 0,
      })
      const token = request.headers[HEADER]
      const raw = request.rawHeaders.filter((_, i) => i % 2 === 0 && request.rawHeaders[i]?.toLowerCase() === HEADER)
      const rest = { raw, headers: request.headers }
      const answer = (payload: JWTPayload | undefined, kid?: string): void => {
        heard.push({ payload, kid, ...rest })
        response.end(payload?.sub ?? 'nobody')
      }
      if (typeof token !== 'string') return answer(undefined)
      jwtVerify(token, keys, {
        issuer: host.origin,
        audience: AUDIENCE,
        typ: 'sallyport-context+jwt',
        algorithms: ['ES256'],
        clockTolerance: 0,
      }).then(
        ({ payload, protectedHeader }) => answer(payload, protectedHeader.kid),
        () => answer(undefined),
      )
    },
  })
  cookie = await signedIn(host)
})
afterAll(async () => {
  await host.close()
  await watch.stop()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(() => {
  heard = []
})
afterEach(() => {
  for (const { raw } of heard) expect(raw.length).toBeLessThanOrEqual(1)
})

const get = (path: string, headers: Record<string, string> = {}) => host.ask(path, { headers: { ...fetching, cookie, ...headers } })

describe('a signed user context', () => {
  it('says who the user is, for this audience, for a minute, and an API can verify it by the published keys', async () => {
    const got = await get('/api/reports/1', { 'x-request-id': 'chosen-by-nobody' })
    expect(got.body).toBe('alice')
    const { payload } = heard[0] ?? {}
    expect(payload).toMatchObject({ sub: 'alice', email: 'alice@example.com', roles: ['reader'], request_id: got.headers['x-request-id'] })
    expect(Number(payload?.exp) - Number(payload?.iat)).toBeLessThanOrEqual(60)
    expect(payload).not.toHaveProperty('absent')
    expect(payload).not.toHaveProperty('name') // not among those chosen
    expect(String(payload?.['txn'])).toMatch(/^[\w-]{22}$/)
  })

  it('is another one for every request', async () => {
    await get('/api/reports/1')
    await get('/api/reports/1')
    expect(new Set(heard.map(({ payload }) => payload?.['txn'])).size).toBe(2)
    expect(new Set(heard.map(({ payload }) => payload?.['request_id'])).size).toBe(2)
  })

  it('never comes from outside: whatever the browser sends under its name, or one like it, is gone', async () => {
    for (const name of [HEADER, 'Sallyport-User-Context', 'X-Sallyport-User-Context', 'sallyport_user_context']) {
      await get('/api/plain', { [name]: 'forged' })
      await get('/api/reports/1', { [name]: 'forged' })
    }
    expect(JSON.stringify(heard)).not.toContain('forged')
    expect(heard.filter(({ payload }) => payload?.sub === 'alice')).toHaveLength(4)
  })

  it('goes nowhere else', async () => {
    await get('/api/plain')
    expect(heard[0]?.headers).not.toHaveProperty(HEADER)
  })
})

describe('its keys', () => {
  const published = async (): Promise<readonly string[]> =>
    (JSON.parse((await host.ask(KEYS)).body) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid)

  it('are public, cacheable for less than a new one takes to settle, and nothing private is among them', async () => {
    const got = await host.ask(KEYS)
    expect([got.status, got.headers['cache-control'], got.headers['content-type']]).toEqual([
      200,
      'public, max-age=60',
      'application/jwk-set+json; charset=utf-8',
    ])
    const { keys } = JSON.parse(got.body) as { keys: Record<string, unknown>[] }
    expect(Object.keys(keys[0] ?? {}).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
    expect(got.headers['set-cookie']).toBeUndefined()
  })

  it('rotate without one request whose key was not published before', async () => {
    const [first] = await published()
    await rotateKeys(dir, clock.now())
    await ring.reload()
    const [, second] = await published()
    expect(second).toBeDefined()
    await get('/api/reports/1')
    clock.advance(minutes(6)) // settled
    await get('/api/reports/1')
    expect(heard.map(({ kid }) => kid)).toEqual([first, second])
    // The old one stays published: what it signed lives for another minute.
    expect(await published()).toEqual([first, second])
  })

  it('are the same on every replica that has the folder', async () => {
    const other = await openKeyringFiles({ dir, settleMs: minutes(5), clock, watch, log: new FakeLog() })
    expect(createUserContextKeys(other).jwks()).toEqual(JSON.parse((await host.ask(KEYS)).body))
  })

  it('are no sealing keys, even where somebody gave both the same folder', () => {
    const keyring = ephemeralKeyring(clock.now())
    const [jwk] = createUserContextKeys(keyring).jwks().keys
    const seed = keyring.sealing().key.export()
    expect(jwk && Buffer.from(jwk.x, 'base64url').equals(seed)).toBe(false)
  })
})

describe('unsigned identity headers', () => {
  it('are written by the gateway alone, also where the browser sends them', async () => {
    await get('/api/reports/1', { 'X-User': 'root', 'x-name': 'Root', 'X-Roles': 'admin' })
    expect(heard[0]?.headers).toMatchObject({ 'x-user': 'alice', 'x-name': 'Alice Liddell' })
    // A list has no one reading as a header: nothing is said, and nothing that was sent passes either.
    expect(heard[0]?.headers).not.toHaveProperty('x-roles')
  })
})

it('what one route says of who calls cannot be said through another one', async () => {
  await get('/api/plain', { 'X-Employee': 'root' })
  expect(heard[0]?.headers).not.toHaveProperty('x-employee')
})

describe('what becomes of a claim', () => {
  const tell = (claims: Claims, kind: BearerCaller['kind'] = 'user'): Readonly<Record<string, string | undefined>> => {
    const route = aRoute(new URL('http://x'), { headers: { requestIdentity: [{ header: 'x-v', claim: 'v' }] } })
    const caller: BearerCaller = {
      kind,
      issuer: the.issuer,
      subject: 's',
      clientId: 'app',
      tenant: undefined,
      audiences: [],
      scopes: [],
      roles: [],
      claims,
      token: Secret.of('access-token', 'x'),
      issuedAt: instant(0),
      expiresAt: instant(1),
    }
    const turns = callerIdentity(undefined, route)?.ofCaller(caller, 'r', instant(0)) ?? []
    return { [turns[0] ?? 'nothing']: turns[1] }
  }
  it.each<[string, Claims, Readonly<Record<string, string | undefined>>]>([
    ['a text', { v: 'Ada Lovelace' }, { 'x-v': 'Ada Lovelace' }],
    ['a number', { v: 7 }, { 'x-v': '7' }],
    ['a truth value', { v: false }, { 'x-v': 'false' }],
    ['a line end', { v: 'a\r\nX-Admin: 1' }, { 'x-v': 'a%0D%0AX-Admin: 1' }],
    ['a NUL', { v: 'a\u0000b' }, { 'x-v': 'a%00b' }],
    ['letters of the world', { v: 'Ådå' }, { 'x-v': '%C3%85d%C3%A5' }],
    ['a percent sign, so that decoding is exact', { v: '100%41' }, { 'x-v': '100%2541' }],
    ['half a surrogate', { v: '\ud800' }, { nothing: undefined }],
    // Whoever reads a header drops the blanks around its value (RFC 9110 §5.5): ` ada` would be told, and `ada` be heard.
    ['blanks around it', { v: '  ada b ' }, { 'x-v': '%20%20ada b%20' }],
    ['blanks alone', { v: '  ' }, { nothing: undefined }],
    ['nothing', {}, { nothing: undefined }],
    ['an empty text', { v: '' }, { nothing: undefined }],
    ['a list', { v: ['a', 'b'] }, { nothing: undefined }],
    ['an object', { v: { a: 1 } }, { nothing: undefined }],
    ['null', { v: null }, { nothing: undefined }],
    ['an inherited name', JSON.parse('{"toString":"x"}') as Claims, { nothing: undefined }],
    ['too much', { v: 'x'.repeat(2000) }, { nothing: undefined }],
  ])('%s', (_what, claims, wanted) => {
    expect(tell(claims)).toEqual(wanted)
  })

  it('an application by itself is no user: nothing is said of it', () => {
    expect(tell({ v: 'x' }, 'application')).toEqual({ nothing: undefined })
  })

  it('a claim cannot take the place of one that the gateway writes', () => {
    const keys = createUserContextKeys(ephemeralKeyring(instant(Date.now())))
    const session = a.session({ grant: { claims: { sub: 'root', aud: 'elsewhere', iss: 'evil', tid: 'other', email: 'a@b' } } })
    const route = aRoute(new URL('http://x'), { route: { userContext: AUDIENCE } })
    const deps = { sign: keys.sign, issuer: 'https://shop', claims: ['sub', 'aud', 'iss', 'tid', 'email', 'exp', 'request_id'] }
    const [name, token = ''] = callerIdentity(deps, route)?.ofSession(session, 'r"1', instant(1000)) ?? []
    expect(name).toBe(HEADER)
    const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    expect(payload).toMatchObject({ sub: 'alice', aud: AUDIENCE, iss: 'https://shop', iat: 1, exp: 61, request_id: 'r"1', email: 'a@b' })
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'ES256', typ: 'sallyport-context+jwt' })
  })

  it('is signed fast enough to stand on every request’s way: a thousand in less than two seconds', () => {
    const keys = createUserContextKeys(ephemeralKeyring(instant(Date.now())))
    const began = cpuMs()
    for (let i = 0; i < 1000; i += 1) keys.sign('"sub":"a"', 'r', instant(0))
    expect(cpuMs() - began).toBeLessThan(2000)
  })
})
