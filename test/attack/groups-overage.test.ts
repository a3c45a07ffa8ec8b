import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { groupsOfRules } from '../../src/assembly/compile-routes.ts'
import type { Allow, Route } from '../../src/domain/route.ts'
import type { Claims } from '../../src/domain/token.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { millis } from '../../src/kernel/time.ts'
import { PROFILES } from '../../src/domain/profiles/profiles.ts'
import { isOverage } from '../../src/provider/groups.ts'
import { profileOf } from '../../src/provider/profiles.ts'
import type { ProviderDeps } from '../../src/provider/provider.ts'
import { startHostileProvider } from '../harness/hostile-provider.ts'
import type { HostileProvider } from '../harness/hostile-provider.ts'
import { askFor, callbackOf, providerRoom, visible } from '../harness/provider-room.ts'
import type { ProviderRoom } from '../harness/provider-room.ts'

/** Too many groups for an ID token: asked for at the directory, all of them or none, and whatever goes wrong is never "no groups". */
const OVERAGE = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: 'https://evil.example/getMemberObjects' } } }
const FINANCE = 'group-finance'
const AUDIT = 'group-audit'

let hostile: HostileProvider
let room: ProviderRoom
let directory: Server
let host: string
/** What the directory was asked, and by which token. */
let asked: { readonly url: string; readonly authorization: string }[]
let pages: (url: URL) => { readonly status?: number; readonly headers?: Record<string, string>; readonly body: unknown } | undefined

const start = (overrides: Partial<ProviderDeps> = {}): ProviderRoom =>
  providerRoom(hostile.issuer, {
    profile: profileOf('entra'),
    groups: { wanted: [FINANCE, AUDIT] },
    timeoutMs: millis(1000),
    ...overrides,
  })
beforeEach(async () => {
  asked = []
  pages = () => ({ body: { value: [{ id: FINANCE }, { id: 'group-of-no-rule' }] } })
  directory = createServer((request, response) => {
    asked.push({ url: request.url ?? '', authorization: request.headers.authorization ?? '' })
    const answer = pages(new URL(request.url ?? '/', `http://${host}`))
    if (!answer) return void response.destroy()
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers })
    response.end(typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body))
  })
  directory.listen(0, '127.0.0.1')
  await once(directory, 'listening')
  host = `127.0.0.1:${(directory.address() as AddressInfo).port}`
  hostile = await startHostileProvider()
  hostile.metadata = { msgraph_host: host }
  room = start()
})
afterEach(async () => {
  expect(visible(room)).not.toContain('canary')
  await room.provider.close()
  await hostile.close()
  directory.closeAllConnections()
  directory.close()
})

const signIn = async (claims: Record<string, unknown> = OVERAGE): Promise<Claims> => {
  const answer = await room.provider.redeem(callbackOf(hostile, room, claims), room.checks, undefined)
  if (answer.kind !== 'signed-in') throw new Error(answer.kind)
  return answer.claims
}
const OLD = Secret.of('refresh-token', 'canary-refresh-old')
const refresh = async (claims: Record<string, unknown> = OVERAGE): Promise<Claims | undefined> => {
  hostile.script.token = async ({ parameters }) => ({
    body: await hostile.tokens(parameters.get('scope') === 'GroupMember.Read.All' ? {} : { id_token: await hostile.idToken(claims) }),
  })
  const answer = await room.provider.refresh(OLD, askFor('api://orders', ['read']), { issuer: hostile.issuer, subject: 'ada' })
  if (answer.kind !== 'issued') throw new Error(answer.kind)
  return answer.claims
}

describe('at the sign-in', () => {
  it('the groups that rules name are filled in, and nothing tells of the others', async () => {
    const claims = await signIn()
    expect(claims['groups']).toEqual([FINANCE])
    expect(isOverage(claims)).toBe(false)
    expect(Object.keys(claims)).not.toContain('_claim_sources')
    expect(asked.map(({ url }) => url)).toEqual(['/v1.0/me/transitiveMemberOf?$select=id&$top=999'])
  })
  it('they are asked for with a token of the user’s for the directory alone, and never where the ID token points', async () => {
    await signIn()
    const { parameters } = hostile.last('token')
    expect([parameters.get('grant_type'), parameters.get('scope')]).toEqual(['refresh_token', 'GroupMember.Read.All'])
    expect(asked[0]?.authorization).toMatch(/^Bearer canary-access-/)
  })
  it('all pages count', async () => {
    pages = (url) =>
      url.searchParams.has('$skiptoken')
        ? { body: { value: [{ id: AUDIT }] } }
        : { body: { value: [{ id: 'other' }], '@odata.nextLink': `http://${host}${url.pathname}?$skiptoken=1` } }
    expect((await signIn())['groups']).toEqual([AUDIT])
    expect(asked).toHaveLength(2)
  })
  it('the short form of an overage is one as well', async () => {
    expect((await signIn({ hasgroups: true }))['groups']).toEqual([FINANCE])
  })
  it('claims that point elsewhere for something else keep that', async () => {
    const claims = await signIn({ _claim_names: { groups: 'src1', roles: 'src2' }, _claim_sources: OVERAGE._claim_sources })
    expect(claims['_claim_names']).toEqual({ roles: 'src2' })
  })
  it('who fits is asked about nothing', async () => {
    expect((await signIn({ groups: [AUDIT] }))['groups']).toEqual([AUDIT])
    expect(asked).toEqual([])
  })
})

describe('the overage stays, and rules on groups refuse, when the directory', () => {
  const elsewhere = 'http://127.0.0.1:1/v1.0/me/transitiveMemberOf'
  it.each<[string, typeof pages]>([
    ['says no', () => ({ status: 403, body: { error: { code: 'Authorization_RequestDenied' } } })],
    ['has trouble', () => ({ status: 503, body: {} })],
    ['hangs up', () => undefined],
    ['answers a page', () => ({ headers: { 'content-type': 'text/html' }, body: '<html>' })],
    ['answers no list', () => ({ body: { value: { id: FINANCE } } })],
    ['answers nothing', () => ({ body: {} })],
    ['answers groups without a name', () => ({ body: { value: [{ id: FINANCE }, { id: 7 }] } })],
    ['leads on to another host, which would get the token', () => ({ body: { value: [{ id: FINANCE }], '@odata.nextLink': elsewhere } })],
    ['leads on to another question', () => ({ body: { value: [{ id: FINANCE }], '@odata.nextLink': `http://${host}/v1.0/users` } })],
    ['leads on to what is no address', () => ({ body: { value: [{ id: FINANCE }], '@odata.nextLink': ['x'] } })],
    ['leads on for ever', (url) => ({ body: { value: [{ id: FINANCE }], '@odata.nextLink': url.href } })],
    [
      'breaks off in the middle',
      (url) => (url.searchParams.has('x') ? undefined : { body: { value: [{ id: FINANCE }], '@odata.nextLink': `${url.href}&x=1` } }),
    ],
    ['sends somewhere else', () => ({ status: 302, headers: { location: elsewhere }, body: '' })],
  ])('%s', async (_name, answer) => {
    pages = answer
    const claims = await signIn()
    expect(isOverage(claims)).toBe(true)
    expect(Object.hasOwn(claims, 'groups')).toBe(false)
    expect(asked.length).toBeLessThanOrEqual(12)
    expect(room.lines).toContainEqual(expect.objectContaining({ level: 'warn', message: 'groups of a user could not be resolved' }))
  })
  it('has no place, or the provider gives no token for it', async () => {
    hostile.metadata = { msgraph_host: 'graph.example/evil?' }
    expect(isOverage(await signIn())).toBe(true)
    await room.provider.close()
    hostile.metadata = { msgraph_host: host }
    room = start()
    hostile.script.token = async ({ parameters }) =>
      parameters.get('grant_type') === 'refresh_token'
        ? { status: 400, body: { error: 'invalid_grant', suberror: 'consent_required' } }
        : { body: await hostile.tokens({ id_token: await hostile.idToken({ ...OVERAGE, nonce: room.checks.nonce.reveal() }) }) }
    expect(isOverage(await signIn())).toBe(true)
    expect(asked).toEqual([])
  })
})

describe('at a refresh', () => {
  it('one answer serves all the tokens of a page, and five minutes', async () => {
    await refresh()
    await Promise.all([refresh(), refresh(), refresh()])
    expect(asked).toHaveLength(1)
    room.clock.advance(299_000)
    await refresh()
    expect(asked).toHaveLength(1)
    room.clock.advance(2_000)
    pages = () => ({ body: { value: [] } })
    expect((await refresh())?.['groups']).toEqual([])
    expect(asked).toHaveLength(2)
  })
  it('when it fails, what was known before does not count any more', async () => {
    expect((await refresh())?.['groups']).toEqual([FINANCE])
    room.clock.advance(301_000)
    pages = () => ({ status: 503, body: {} })
    expect(isOverage((await refresh()) ?? {})).toBe(true)
    pages = () => ({ body: { value: [{ id: AUDIT }] } })
    expect((await refresh())?.['groups']).toEqual([AUDIT])
  })
  it('one user’s answer is never another’s', async () => {
    await refresh()
    pages = () => ({ body: { value: [{ id: AUDIT }] } })
    hostile.script.token = async ({ parameters }) => ({
      body: await hostile.tokens(
        parameters.get('scope') === 'GroupMember.Read.All' ? {} : { id_token: await hostile.idToken({ ...OVERAGE, sub: 'grace' }) },
      ),
    })
    const answer = await room.provider.refresh(OLD, askFor('api://orders', ['read']), { issuer: hostile.issuer, subject: 'grace' })
    expect(answer.kind === 'issued' && answer.claims?.['groups']).toEqual([AUDIT])
  })
})

it('is done only where it was asked for, and where a rule needs it', async () => {
  for (const groups of [undefined, { wanted: [] }]) {
    await room.provider.close()
    room = start({ groups })
    expect(isOverage(await signIn())).toBe(true)
  }
  expect(asked).toEqual([])
})

it('only providers whose refresh tokens stay as they are have a directory: the token for it costs no session its own', () => {
  for (const { claims, rotation, name } of Object.values(PROFILES)) if (claims.directory) expect(rotation, name).toBe('none')
})

it('the groups that matter are all that any rule names, however deep, and by whichever name of the condition', () => {
  const rules: readonly Allow[] = [
    { kind: 'signed-in' },
    {
      kind: 'any-of',
      rules: [
        { kind: 'group', anyOf: ['a', 'b'] },
        { kind: 'all-of', rules: [{ kind: 'claim', name: 'groups', anyOf: ['c', 7] }] },
      ],
    },
    { kind: 'claim', name: 'dept', anyOf: ['d'] },
    { kind: 'group', anyOf: ['a'] },
  ]
  expect(groupsOfRules(rules.map((allow) => ({ allow }) as Route))).toEqual(['a', 'b', 'c'])
})
