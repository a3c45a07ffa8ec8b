import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Secret } from '../../src/kernel/secret.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import type { ProviderDeps } from '../../src/provider/provider.ts'
import { CONTOSO, DEFAULT_CLIENT_ID, FABRIKAM, ORDERS_ID } from '../harness/emulators/entra/defaults.ts'
import { GRAPH_ID, guidOf } from '../harness/emulators/entra/directory.ts'
import { type Entra, startEntra } from '../harness/emulators/entra/entra.ts'
import { askFor, providerRoom, REDIRECT_URI } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

/** The provider room at the Entra emulator's door for all: forms of issuers, tenants, groups that do not fit. */
let entra: Entra
const rooms: ProviderRoom[] = []
const GRACES_GROUP = guidOf('group grace 7')
const ORDERS = askFor('api://orders', ['orders.read'])

beforeAll(async () => {
  entra = await startEntra({
    client: { redirectUris: [REDIRECT_URI], idTokenClaims: ['sid', 'login_hint', 'groups'] },
    consents: [
      { client: DEFAULT_CLIENT_ID, resource: ORDERS_ID, scopes: ['orders.read'] },
      { client: DEFAULT_CLIENT_ID, resource: GRAPH_ID, scopes: ['GroupMember.Read.All'] },
    ],
  })
})
afterAll(async () => {
  for (const { provider } of rooms) await provider.close()
  await entra.stop()
})

const start = (overrides: Partial<ProviderDeps> = {}): ProviderRoom => {
  const room = providerRoom(entra.issuer('organizations'), {
    profile: profileOf('entra'),
    clientId: entra.clientId,
    clientAuth: {
      current: () => ({ kind: 'secret', secret: Secret.of('client-secret', entra.clientSecret), method: 'client_secret_post' }),
    },
    tenants: [CONTOSO, FABRIKAM],
    homeTenant: CONTOSO,
    userAsks: [ORDERS],
    ...overrides,
  })
  rooms.push(room)
  return room
}
const signIn = async (person: string, room: ProviderRoom) => {
  entra.sit(person)
  const { provider, checks } = room
  const asked = await provider.authorizationUrl({ ...checks, scopes: ['openid', 'profile', 'offline_access'], ask: ORDERS, extras: {} })
  if (asked.kind !== 'url') throw new Error(`no URL: ${JSON.stringify(asked)}`)
  const answer = await fetch(asked.url, { redirect: 'manual' })
  const location = answer.headers.get('location')
  if (location === null) throw new Error(`no callback: ${answer.status} ${(await answer.text()).slice(0, 300)}`)
  return provider.redeem(new URL(location).searchParams, checks, ORDERS)
}

describe('at the door for all', () => {
  it.each([
    ['ada', CONTOSO],
    ['grace', FABRIKAM],
  ])('%s signs in under the issuer of %s, and a refresh stays there', async (person, tenant) => {
    const room = start()
    const answer = await signIn(person, room)
    expect(answer).toMatchObject({ kind: 'signed-in', tenant, issuer: entra.issuer(tenant) })
    if (answer.kind !== 'signed-in' || !answer.refreshToken) throw new Error('not signed in')
    expect(answer.access).toBeDefined()
    const known = { issuer: answer.issuer, subject: answer.subject, scopes: answer.scopes }
    expect(await room.provider.refresh(answer.refreshToken, ORDERS, known)).toMatchObject({ kind: 'issued', claims: { tid: tenant } })
  })
  it('whose tenant is not listed is refused by name', async () => {
    expect(await signIn('grace', start({ tenants: [CONTOSO] }))).toEqual({ kind: 'tenant-refused', tenant: FABRIKAM })
  })
  it('the application gets its own token in its home tenant', async () => {
    expect(await start().provider.application(askFor('api://orders', [], 'client_credentials'))).toMatchObject({ kind: 'issued' })
  })
})

it('asked for by a domain, it is one tenant, by its id', async () => {
  const room = start({ issuer: entra.issuer('contoso.example'), tenants: undefined, homeTenant: undefined })
  expect(await signIn('ada', room)).toMatchObject({ kind: 'signed-in', tenant: CONTOSO, issuer: entra.issuer(CONTOSO) })
})

describe('250 groups', () => {
  it('stay an overage unless they are to be resolved', async () => {
    const answer = await signIn('grace', start())
    expect(answer.kind === 'signed-in' && answer.claims).toMatchObject({ _claim_names: { groups: 'src1' } })
  })
  it('are resolved at Graph with a token of the user’s, and those that rules name are kept', async () => {
    const room = start({ groups: { wanted: [GRACES_GROUP, 'group-of-somebody-else'] } })
    const answer = await signIn('grace', room)
    if (answer.kind !== 'signed-in' || !answer.refreshToken) throw new Error('not signed in')
    expect(answer.claims['groups']).toEqual([GRACES_GROUP])
    expect(answer.claims).not.toHaveProperty('_claim_names')
    const known = { issuer: answer.issuer, subject: answer.subject, scopes: answer.scopes }
    expect(await room.provider.refresh(answer.refreshToken, ORDERS, known)).toMatchObject({ claims: { groups: [GRACES_GROUP] } })
  })
  it('of somebody whose groups fit, nothing is asked', async () => {
    const answer = await signIn('ada', start({ groups: { wanted: [GRACES_GROUP] } }))
    expect(answer.kind === 'signed-in' && answer.claims['groups']).toHaveLength(3)
  })
})

it('the account is named at the sign-out, so that nobody is asked which', async () => {
  const room = start()
  const answer = await signIn('ada', room)
  if (answer.kind !== 'signed-in') throw new Error('not signed in')
  const url = await room.provider.endSessionUrl({ idToken: undefined, claims: answer.claims, state: 's' })
  expect(new URL(url?.reveal() ?? '').searchParams.get('logout_hint')).toBe(answer.claims['login_hint'])
  expect(answer.claims['login_hint']).toEqual(expect.any(String))
})
