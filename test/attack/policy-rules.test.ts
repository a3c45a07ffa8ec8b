import { afterAll, describe, expect, it } from 'vitest'
import { compileRoutes } from '../../src/assembly/compile-routes.ts'
import type { Claims, Json } from '../../src/domain/token.ts'
import { roleSources } from '../../src/policy/decide.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation } from '../harness/edge-host.ts'
import { a, the } from '../harness/the.ts'
import { good, loaded } from '../unit/config/a-config.ts'

/** Each rule guards a route of its own, written as operators write it: from YAML to the refused request, nothing is left out. */
const RULES = {
  admin: '{ roles: [admin] }',
  staff: '{ groups: [g1, g2] }',
  'staff-claim': '{ claims: { groups: g1 } }',
  'staff-or-admin': '{ any_of: [{ groups: [g1] }, { roles: [admin] }] }',
  'staff-and-admin': '{ all_of: [{ groups: [g1] }, { roles: [admin] }] }',
  dept: '{ claims: { dept: [it, 7, true] } }',
  scope: '{ scopes: [orders.read] }',
  tenant: '{ tenant: [t1, t2] }',
  nested: '{ all_of: [{ roles: [admin] }, { any_of: [{ groups: [g1] }, { all_of: [{ scopes: [orders.read] }, { tenant: t1 }] }] }] }',
} as const
type Rule = keyof typeof RULES

const TOKENS = { app: '{ principal: app, audience: a }', user: '{ principal: user, audience: a }', none: '{ principal: none }' } as const

let host: EdgeHost
/** What the broker was asked for. */
const asked: string[] = []
const hosts = new Map<string, EdgeHost>()
afterAll(() => Promise.all([...hosts.values()].map((one) => one.close())))

const open = async (profile: 'generic' | 'keycloak' | 'entra' = 'generic'): Promise<void> => {
  asked.length = 0
  const known = hosts.get(profile)
  if (known) {
    host = known
    host.events.length = 0
    host.logged.length = 0
    host.upstreamSaw.length = 0
    return
  }
  const issued = async (principal: string) => {
    asked.push(principal)
    return { kind: 'issued', access: a.accessToken() } as const
  }
  host = await edgeHost({
    roleSources: roleSources(profile, the.clientId),
    broker: () => ({ user: () => issued('user'), app: () => issued('app'), peekApp: () => undefined }),
    routes: (upstream) =>
      compileRoutes(
        loaded(
          good({}, [
            'routes:',
            ...Object.entries(RULES).flatMap(([name, rule]) =>
              Object.entries(TOKENS).flatMap(([principal, token]) => [
                `  - path: /${principal}/${name}`,
                `    upstream: ${upstream.origin}`,
                `    token: ${token}`,
                `    allow: ${rule}`,
              ]),
            ),
          ]),
        ).settings.routes,
      ),
  })
  hosts.set(profile, host)
}

interface Who {
  readonly claims?: Claims
  readonly scopes?: readonly string[]
  readonly tenant?: string
}

/** Signs in as somebody with these claims; the session's cookie. */
const signIn = async ({ claims = {}, scopes = [], tenant }: Who): Promise<string> => {
  const { grant } = a.draft({ now: host.clock.now() })
  host.broken.redeem = {
    kind: 'signed-in',
    issuer: the.issuer,
    subject: the.alice.sub,
    tenant,
    providerSessionId: undefined,
    authTime: undefined,
    issuedAt: host.clock.now(),
    claims: { sub: the.alice.sub, ...claims },
    idToken: undefined,
    refreshToken: grant.refreshToken,
    refreshEndsAt: undefined,
    scopes,
    access: undefined,
  }
  const started = await host.ask('/bff/login', { headers: navigation() })
  const state = new URL(String(started.headers.location)).searchParams.get('state') ?? ''
  const got = await host.ask(`/bff/callback?${new URLSearchParams({ code: 'c', state }).toString()}`, {
    headers: { ...navigation('cross-site'), cookie: jarOf(...cookiesOf(started)) },
  })
  return jarOf(cookiesOf(got)[0] ?? '')
}

const ask = (cookie: string, principal: keyof typeof TOKENS, rule: Rule, headers: Record<string, string> = {}): Promise<Got> =>
  host.ask(`/${principal}/${rule}?roles=admin&groups=g1`, { headers: { ...fetching, cookie, ...headers } })

const denials = () => host.events.filter(({ event }) => event === 'access.denied')

/** On every kind of route, from memory and from the store: 403 with this code, one audit line, and neither upstream nor provider heard of it. */
const expectRefused = async (cookie: string, rule: Rule, code: 'policy.denied' | 'policy.groups-overage'): Promise<void> => {
  for (const memory of [false, true])
    for (const principal of ['app', 'user', 'none'] as const) {
      host.broken.memory = memory
      const before = { events: host.events.length, seen: host.upstreamSaw.length, asked: asked.length }
      const got = await ask(cookie, principal, rule)
      expect([principal, got.status, JSON.parse(got.body).code]).toEqual([principal, 403, code])
      expect(host.events.slice(before.events)).toMatchObject([
        { event: 'access.denied', route: `${principal}/${rule}`, principal, code, subject: the.alice.sub },
      ])
      expect([host.upstreamSaw.length, asked.length]).toEqual([before.seen, before.asked])
    }
  host.broken.memory = false
}
const expectServed = async (cookie: string, rule: Rule): Promise<void> => {
  for (const principal of ['app', 'user', 'none'] as const) {
    const before = { events: host.events.length, seen: host.upstreamSaw.length }
    for (const _time of [1, 2]) expect([principal, (await ask(cookie, principal, rule)).status]).toEqual([principal, 200])
    expect(host.events.slice(before.events), 'once for each state of the claims').toEqual([
      expect.objectContaining({ event: 'access.allowed', route: `${principal}/${rule}`, principal, subject: the.alice.sub }),
    ])
    expect(host.upstreamSaw.length).toBe(before.seen + 2)
  }
}

describe('a user with too many groups is refused, never read as having none', () => {
  it.each<[string, Claims]>([
    ['the list is elsewhere', { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://graph.example' } } }],
    ['the short form', { hasgroups: true }],
    ['the short form as text', { hasgroups: 'true' }],
    ['a list beside it that may be cut', { groups: ['g1'], _claim_names: { groups: 'src1' } }],
    ['the place of the list is odd', { _claim_names: { groups: null } }],
  ])('%s', async (_form, claims) => {
    await open()
    const cookie = await signIn({ claims })
    for (const rule of ['staff', 'staff-claim', 'staff-or-admin'] as const) await expectRefused(cookie, rule, 'policy.groups-overage')
    // Certain without knowing the groups: there is no such role.
    await expectRefused(cookie, 'staff-and-admin', 'policy.denied')
    const admin = await signIn({ claims: { ...claims, roles: ['admin'] } })
    await expectRefused(admin, 'staff-and-admin', 'policy.groups-overage')
    await expectServed(admin, 'staff-or-admin')
  })
})

describe('a claim of the wrong type opens nothing', () => {
  it.each<[string, Rule, Claims]>([
    ['roles as an object', 'admin', { roles: { admin: true } }],
    ['roles as one text of several', 'admin', { roles: 'user admin' }],
    ['roles as text with commas', 'admin', { roles: 'user,admin' }],
    ['a role within a list within the list', 'admin', { roles: [['admin']] }],
    ['a role among things that are no text', 'admin', { roles: ['admin', 1] }],
    ['a role as an object with the name', 'admin', { roles: [{ name: 'admin' }] }],
    ['true instead of roles', 'admin', { roles: true }],
    ['groups as one text', 'staff', { groups: 'g1' }],
    ['groups as an object', 'staff', { groups: { g1: true } }],
    ['a number as text', 'dept', { dept: '7' }],
    ['true as text', 'dept', { dept: 'true' }],
    ['a value in an object', 'dept', { dept: { it: 'it' } }],
    ['a value in a list in the list', 'dept', { dept: [['it']] }],
    ['another case', 'dept', { dept: 'IT' }],
    ['a value with a blank behind it', 'dept', { dept: 'it ' }],
    ['null', 'dept', { dept: null }],
    ['a scope that is only claimed', 'scope', { scope: 'orders.read', scopes: ['orders.read'], scp: 'orders.read' }],
    ['a tenant that is only claimed', 'tenant', { tid: 't1', tenant: 't1' }],
  ])('%s', async (_form, rule, claims) => {
    await open()
    await expectRefused(await signIn({ claims }), rule, 'policy.denied')
  })

  it('and the right type does open: the refusals above are not for another reason', async () => {
    await open()
    await expectServed(await signIn({ claims: { roles: ['admin'] } }), 'admin')
    await expectServed(await signIn({ claims: { groups: ['g2'] } }), 'staff')
    for (const dept of ['it', 7, true, ['hr', 'it']] as Json[]) await expectServed(await signIn({ claims: { dept } }), 'dept')
    await expectServed(await signIn({ scopes: ['openid', 'orders.read'] }), 'scope')
    await expectServed(await signIn({ tenant: 't2' }), 'tenant')
  })
})

describe('Keycloak’s roles', () => {
  const client = the.clientId
  it('a role in another client’s resource_access opens nothing', async () => {
    await open('keycloak')
    await expectRefused(await signIn({ claims: { resource_access: { account: { roles: ['admin'] } } } }), 'admin', 'policy.denied')
    await expectServed(await signIn({ claims: { resource_access: { [client]: { roles: ['admin'] } } } }), 'admin')
  })
  it('a client that is named like a part of ours opens nothing', async () => {
    await open('keycloak')
    const lookalikes = Object.fromEntries(
      [`${client}-admin`, client.slice(0, -1), client.toUpperCase(), 'roles'].map((id) => [id, { roles: ['admin'] }]),
    )
    await expectRefused(await signIn({ claims: { resource_access: lookalikes } }), 'admin', 'policy.denied')
  })
  it('are not read for a provider that is none', async () => {
    await open('generic')
    const claims = { realm_access: { roles: ['admin'] }, resource_access: { [client]: { roles: ['admin'] } } }
    await expectRefused(await signIn({ claims }), 'admin', 'policy.denied')
  })
})

describe('an app route never serves whom its rule does not let in', () => {
  it('not after somebody else has brought the application’s token, and not when asked again', async () => {
    await open()
    const admin = await signIn({ claims: { roles: ['admin'] } })
    const other = await signIn({ claims: { roles: ['user'] } })
    expect((await ask(admin, 'app', 'admin')).status).toBe(200)
    for (const _time of [1, 2, 3]) expect((await ask(other, 'app', 'admin')).status).toBe(403)
    expect(host.upstreamSaw).toHaveLength(1)
    expect(asked).toEqual(['app'])
    expect(denials()).toHaveLength(3)
  })

  it('not by what the request says of itself', async () => {
    await open()
    const cookie = await signIn({ claims: { roles: ['user'] } })
    const said = {
      'x-roles': 'admin',
      'x-auth-request-groups': 'g1',
      authorization: 'Bearer eyJhbGciOiJub25lIn0.eyJyb2xlcyI6WyJhZG1pbiJdfQ.',
      'x-forwarded-user': 'root',
    }
    for (const rule of ['admin', 'staff'] as const) expect((await ask(cookie, 'app', rule, said)).status).toBe(403)
    expect(host.upstreamSaw).toHaveLength(0)
  })

  it('not once a newer ID token no longer says so', async () => {
    await open()
    const cookie = await signIn({ claims: { roles: ['admin'] } })
    expect((await ask(cookie, 'app', 'admin')).status).toBe(200)
    const opened = await host.store.open(cookie.split('=')[1] ?? '')
    if (opened.kind !== 'found') throw new Error(opened.kind)
    const { session } = opened.held
    const demoted = { ...session.grant, claims: { ...session.grant.claims, roles: [] } }
    expect((await host.store.save(session, { grant: demoted, tokens: [] })).kind).toBe('saved')
    await expectRefused(cookie, 'admin', 'policy.denied')
  })

  it('not without a session', async () => {
    await open()
    for (const principal of ['app', 'user', 'none'] as const) expect((await ask('', principal, 'admin')).status).toBe(401)
    expect(host.upstreamSaw).toHaveLength(0)
  })
})

it('whom a rule lets in is audited: once for each state of the claims, again when they were read anew, and with none of them', async () => {
  await open()
  const cookie = await signIn({ claims: { roles: ['admin'], dept: 'canary-dept' }, tenant: 't1' })
  const allowed = () => host.events.filter(({ event }) => event === 'access.allowed')
  for (const _time of [1, 2, 3]) expect((await ask(cookie, 'app', 'admin')).status).toBe(200)
  expect((await ask(cookie, 'app', 'tenant')).status).toBe(200)
  expect(allowed()).toEqual([
    {
      event: 'access.allowed',
      route: 'app/admin',
      principal: 'app',
      subject: the.alice.sub,
      tenant: 't1',
      provider: 'default',
      address: expect.stringMatching(/^127\./),
      requestId: expect.stringMatching(/^[0-9a-f]{32}$/),
      sessionRef: host.store.refOf(cookie.split('=')[1] ?? ''),
    },
    expect.objectContaining({ route: 'app/tenant' }),
  ])
  const opened = await host.store.open(cookie.split('=')[1] ?? '')
  if (opened.kind !== 'found') throw new Error(opened.kind)
  await host.store.save(opened.held.session, { grant: opened.held.session.grant, tokens: [] })
  expect((await ask(cookie, 'app', 'admin')).status).toBe(200)
  expect(allowed().map((event) => 'route' in event && event.route)).toEqual(['app/admin', 'app/tenant', 'app/admin'])
})

it('a nested rule opens for exactly those it names', async () => {
  await open()
  for (let bits = 0; bits < 16; bits += 1) {
    const [admin, staff, scope, tenant] = [1, 2, 4, 8].map((bit) => (bits & bit) !== 0)
    const cookie = await signIn({
      claims: { roles: admin ? ['admin'] : [], groups: staff ? ['g1'] : [] },
      scopes: scope ? ['orders.read'] : [],
      ...(tenant && { tenant: 't1' }),
    })
    const expected = admin && (staff || (scope && tenant)) ? 200 : 403
    expect([bits, (await ask(cookie, 'none', 'nested')).status]).toEqual([bits, expected])
  }
})

it('a refusal tells the browser neither the rule nor what it read, and the audit line no claim', async () => {
  await open()
  const cookie = await signIn({ claims: { dept: 'forbidden-forest', groups: ['g9'] } })
  const got = await ask(cookie, 'app', 'dept')
  expect(JSON.parse(got.body)).toMatchObject({ code: 'policy.denied', request_id: expect.any(String) })
  expect(JSON.stringify([got.body, got.rawHeaders])).not.toMatch(/forbidden-forest|dept|g9|"it"/)
  expect(JSON.stringify([host.events, host.logged])).not.toMatch(/forbidden-forest|g9/)
  expect(denials()).toMatchObject([{ rule: 'claim dept' }])
})
