import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compileRoutes, userAsks } from '../../../src/assembly/compile-routes.ts'
import { createBroker, type RunningBroker } from '../../../src/broker/broker.ts'
import { BROKER_DEFAULTS } from '../../../src/broker/deps.ts'
import type { BearerCaller } from '../../../src/domain/caller.ts'
import type { ProfileName } from '../../../src/domain/profile.ts'
import { PROFILE_NAMES } from '../../../src/domain/profiles/profiles.ts'
import type { Route } from '../../../src/domain/route.ts'
import type { GrantName, TokenOutcome } from '../../../src/domain/token.ts'
import { Secret } from '../../../src/kernel/secret.ts'
import { after, minutes, seconds } from '../../../src/kernel/time.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { createSharedStore } from '../../harness/fake-session-store.ts'
import { type HostileProvider, startHostileProvider } from '../../harness/hostile-provider.ts'
import { type Cell, IMPOSSIBLE } from '../../harness/impossible-cells.ts'
import { type Caller, GRANTS_OF } from '../../harness/profiles/table.ts'
import { providerRoom, type ProviderRoom } from '../../harness/provider-room.ts'
import { a } from '../../harness/the.ts'
import { findingsOf, load } from '../config/a-config.ts'

const CELLS = PROFILE_NAMES.flatMap((profile) =>
  (Object.keys(GRANTS_OF) as Caller[]).flatMap((caller) => GRANTS_OF[caller].map((grant) => [profile, caller, grant] as const)),
)
const AUDIENCE = 'https://orders.example'
const cellOf = (profile: ProfileName, caller: Caller, grant: GrantName): Cell => `${profile} ${caller} ${grant}`
const POSSIBLE = CELLS.filter((cell) => IMPOSSIBLE[cellOf(...cell)] === undefined)

const PLACES: Readonly<Record<ProfileName, readonly string[]>> = {
  entra: ['tenant: 5c1d0f6e-0000-4000-8000-00000000000a'],
  google: [],
  generic: ['issuer: https://id.example.com'],
  keycloak: ['issuer: https://id.example.com/realms/shop'],
  okta: ['issuer: https://shop.okta.com/oauth2/default'],
  auth0: ['issuer: https://shop.auth0.com/'],
}
/** As an operator would write the cell. Google's tokens are for Google's own APIs, which scopes name. */
const configuration = (profile: ProfileName, caller: Caller, grant: GrantName): string => {
  const more =
    grant === 'service_account' || grant === 'static'
      ? ', key_file: /key'
      : grant === 'on_behalf_of' && caller === 'session'
        ? ', subject: { audience: shop, scopes: [use] }'
        : ''
  const target =
    profile === 'google' || grant === 'service_account' ? 'scopes: [https://www.googleapis.com/auth/calendar]' : `audience: '${AUDIENCE}'`
  const isBearer = caller === 'bearer' && profile !== 'google'
  return [
    'public_url: http://localhost:8080',
    'provider:',
    `  profile: ${profile}`,
    ...PLACES[profile].map((line) => `  ${line}`),
    '  client_id: shop',
    '  client_auth: [{ client_secret_file: /run/secret }]',
    ...(isBearer ? ['  bearer: { audiences: [shop] }'] : []),
    'routes:',
    '  - path: /api',
    '    upstream: http://api:1',
    `    callers: [${caller === 'bearer' ? 'bearer' : 'session'}]`,
    '    allow: signed_in',
    '    methods: [GET]',
    `    token: { principal: ${caller === 'application' ? 'app' : 'user'}, grant: ${grant}${grant === 'static' ? '' : `, ${target}`}${more} }`,
  ].join('\n')
}

it('the list of what cannot be names cells that there are, and no cell is missing from both', () => {
  const all = new Set<string>(CELLS.map((cell) => cellOf(...cell)))
  expect(Object.keys(IMPOSSIBLE).filter((cell) => !all.has(cell))).toEqual([])
  expect([CELLS.length, POSSIBLE.length + Object.keys(IMPOSSIBLE).length]).toEqual([54, 54])
})

it.each(CELLS)('%s, %s, %s: the configuration is taken exactly where the cell can be', (profile, caller, grant) => {
  const result = load(configuration(profile, caller, grant))
  const errors = findingsOf(result).filter(({ severity }) => severity === 'error')
  const isImpossible = IMPOSSIBLE[cellOf(profile, caller, grant)] !== undefined
  expect(
    errors.map(({ code, path }) => `${code} ${path}`).length > 0,
    errors.map(({ code, reason }) => `${code}: ${reason}`).join('\n'),
  ).toBe(isImpossible)
})

describe('each cell that can be yields its token, asked for as the profile wants it', () => {
  let hostile: HostileProvider
  let room: ProviderRoom | undefined
  let broker: RunningBroker | undefined
  beforeAll(async () => {
    hostile = await startHostileProvider()
    hostile.script.token = async ({ parameters }) => {
      const isOwn = (parameters.get('scope') ?? '').includes('shop/use')
      const aud = parameters.get('audience') ?? parameters.get('resource') ?? (isOwn ? 'shop' : AUDIENCE)
      const app = parameters.get('grant_type') === 'client_credentials'
      const token = await hostile.idToken({ aud, sub: app ? 'gateway' : 'alice', ...(app && { idtyp: 'app' }) })
      const body = {
        access_token: token,
        token_type: 'Bearer',
        expires_in: 300,
        issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      }
      return { body }
    }
  })
  afterAll(() => hostile.close())

  const privateKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const apiKey = Secret.of('access-token', 'the-key')
  const tokenOf = async (profile: ProfileName, route: Route): Promise<TokenOutcome> => {
    room = providerRoom(hostile.issuer, { profile: profileOf(profile), userAsks: userAsks([route]) })
    const { clock, provider } = room
    const shared = createSharedStore(clock)
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
    broker = createBroker({
      store: shared.replica('one'),
      provider,
      clock,
      log: quiet,
      metrics: { count: () => {}, gauge: () => {}, observe: () => {} },
      audit: { record: () => {} },
      settings: { ...BROKER_DEFAULTS, recheckMs: minutes(60), recheckGraceMs: minutes(60) },
      asks: userAsks([route]),
      keys: {
        apiKey: () => apiKey,
        serviceAccount: () => ({ email: 'sa@project.example', keyId: 'k', privateKey, tokenEndpoint: new URL(`${hostile.issuer}/token`) }),
      },
    })
    const now = clock.now()
    const { token } = route
    if (token.principal === 'none') throw new Error('no token')
    if (token.principal === 'app') return broker.app(token.ask)
    if (token.bearerAsk) {
      const caller: BearerCaller = {
        kind: 'user',
        issuer: hostile.issuer,
        subject: 'alice',
        clientId: 'native',
        tenant: undefined,
        audiences: ['shop', AUDIENCE],
        scopes: [],
        roles: [],
        claims: {},
        token: Secret.of('access-token', 'the-callers-own'),
        issuedAt: now,
        expiresAt: after(now, minutes(5)),
      }
      return broker.bearer(caller, token.bearerAsk)
    }
    const claims = { sub: 'alice', email: 'alice@shop.example', email_verified: true }
    const session = shared.add(
      a.session({ now, card: { subject: 'alice' }, grant: { claims, issuer: hostile.issuer, scopes: ['openid'] } }),
    )
    return broker.user({ session, lastSeenAt: now, stale: false }, token.ask)
  }

  const TYPES: Readonly<Record<GrantName, string | undefined>> = {
    refresh: 'refresh_token',
    exchange: 'urn:ietf:params:oauth:grant-type:token-exchange',
    on_behalf_of: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    service_account: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    client_credentials: 'client_credentials',
    static: undefined,
    pass_through: undefined,
  }
  it.each(POSSIBLE)('%s, %s, %s', async (profile, caller, grant) => {
    const result = load(configuration(profile, caller, grant))
    if (result.kind !== 'ok') throw new Error('refused')
    const [route] = compileRoutes(result.settings.routes)
    if (!route) throw new Error('no route')
    const before = hostile.hits('token')
    const outcome = await tokenOf(profile, route)
    await broker?.drain(seconds(5))
    broker?.close()
    await room?.provider.close()
    expect(outcome).toMatchObject({ kind: 'issued' })
    const calls = hostile.hits('token') - before
    const type = TYPES[grant]
    expect(calls).toBe(type === undefined ? 0 : caller === 'session' && (grant === 'exchange' || grant === 'on_behalf_of') ? 2 : 1)
    if (type !== undefined) expect(hostile.last('token').parameters.get('grant_type')).toBe(type)
  })
})
