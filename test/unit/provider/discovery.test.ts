import { afterEach, beforeEach, expect, it } from 'vitest'
import { millis } from '../../../src/kernel/time.ts'
import { createAgent } from '../../../src/provider/agent.ts'
import { createDiscovery, parseMetadata } from '../../../src/provider/discovery.ts'
import type { Discovery } from '../../../src/provider/discovery.ts'
import { createFetch } from '../../../src/provider/fetch.ts'
import { profileOf } from '../../../src/provider/profiles.ts'
import { isIssuerOf } from '../../../src/provider/tenants.ts'
import { startHostileProvider } from '../../harness/hostile-provider.ts'
import type { Answer, HostileProvider } from '../../harness/hostile-provider.ts'
import { movableClock, recordingLog } from '../../harness/provider-room.ts'
import type { LogLine, MovableClock } from '../../harness/provider-room.ts'

let hostile: HostileProvider
let discovery: Discovery
let clock: MovableClock
let lines: LogLine[]
const agent = createAgent({ ca: undefined, timeoutMs: 2000 })
beforeEach(async () => {
  hostile = await startHostileProvider()
  clock = movableClock()
  const recorded = recordingLog()
  lines = recorded.lines
  const { log } = recorded
  discovery = createDiscovery({
    name: 'default',
    issuer: hostile.issuer,
    profile: profileOf('generic'),
    insecureAllowHttp: true,
    timeoutMs: millis(2000),
    fetch: createFetch(agent),
    clock,
    log,
    random: () => 1,
  })
})
afterEach(() => hostile.close())

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}

it('nothing is asked before the first use', () => {
  expect(discovery.held()).toBeUndefined()
  expect(hostile.requests).toEqual([])
})

it('many who ask at once share one request', async () => {
  const found = await Promise.all(Array.from({ length: 50 }, () => discovery.get()))
  expect(new Set(found.map(({ kind }) => kind))).toEqual(new Set(['found']))
  expect(hostile.hits('discovery')).toBe(1)
})

it('a clock that is set back does not lengthen the wait', async () => {
  hostile.script.discovery = () => ({ status: 503 })
  await discovery.get()
  delete hostile.script.discovery
  clock.advance(-3_600_000)
  expect(await discovery.get()).toMatchObject({ kind: 'found' })
})

it('a provider that is down is asked again only after a growing wait', async () => {
  hostile.script.discovery = () => ({ status: 503 })
  expect(await discovery.get()).toEqual({ kind: 'unavailable', retryAfter: 1000, cause: 'http-503' })
  for (let n = 0; n < 100; n++) expect(await discovery.get()).toMatchObject({ kind: 'unavailable', cause: 'backing-off' })
  expect(hostile.hits('discovery')).toBe(1)
  clock.advance(1001)
  expect(await discovery.get()).toMatchObject({ retryAfter: 2000 })
  expect(hostile.hits('discovery')).toBe(2)
  clock.advance(2001)
  delete hostile.script.discovery
  expect((await discovery.get()).kind).toBe('found')
})

it('the last good copy is served while the provider is away, and refreshed behind the caller after an hour', async () => {
  await discovery.get()
  clock.advance(3_599_000 / 2)
  await discovery.get()
  expect(hostile.hits('discovery')).toBe(1)
  hostile.script.discovery = () => ({ status: 500 })
  clock.advance(3_600_000)
  expect((await discovery.get()).kind).toBe('found')
  await until(() => hostile.hits('discovery') === 2 && lines.some(({ message }) => message.includes('not available')))
  expect((await discovery.get()).kind).toBe('found')
  expect(hostile.hits('discovery')).toBe(2)
})

it('a probe asks now, whatever is held, and a provider that does not answer it loses nothing that is held', async () => {
  await discovery.get()
  expect(await discovery.probe()).toBe(true)
  expect(hostile.hits('discovery')).toBe(2)
  hostile.script.discovery = () => ({ status: 503 })
  expect(await discovery.probe()).toBe(false)
  expect((await discovery.get()).kind).toBe('found')
})

it('a refreshed copy is used; one with another issuer is not', async () => {
  await discovery.get()
  hostile.metadata = { issuer: 'https://evil.example', token_endpoint: 'https://evil.example/token' }
  clock.advance(3_600_001)
  await discovery.get()
  await until(() => lines.some(({ facts }) => facts.cause === 'issuer-mismatch'))
  expect(discovery.held()?.tokenEndpoint.href).toBe(`${hostile.issuer}/token`)
  hostile.metadata = { token_endpoint: `${hostile.issuer}/token2` }
  clock.advance(3_600_001)
  await discovery.get()
  await until(() => discovery.held()?.tokenEndpoint.pathname === '/token2')
})

it('a provider that does not announce S256 is warned about once', async () => {
  hostile.metadata = { code_challenge_methods_supported: undefined }
  await discovery.get()
  expect(lines.filter(({ level }) => level === 'warn')).toHaveLength(1)
})

it.each<[string, Answer]>([
  ['HTML', { headers: { 'content-type': 'text/html' }, body: '<html>' }],
  ['an array', { body: [] }],
  ['broken JSON', { body: '{"issuer":' }],
  ['nesting beyond reason', { body: `{"a":${'['.repeat(100_000)}` }],
])('%s is no metadata', async (_name, answer) => {
  hostile.script.discovery = () => answer
  expect(await discovery.get()).toMatchObject({ kind: 'unavailable', cause: 'metadata-malformed' })
})

it('an issuer with a path and one with a terminating slash are asked at their well-known place', async () => {
  for (const suffix of ['/realms/shop', '/realms/slash/']) {
    const at = createDiscovery({
      name: 'default',
      issuer: `${hostile.issuer}${suffix}`,
      profile: profileOf('generic'),
      insecureAllowHttp: true,
      timeoutMs: millis(2000),
      fetch: createFetch(agent),
      clock,
      log: recordingLog().log,
    })
    await at.get()
    expect(hostile.requests.at(-1)?.path).toBe(`${suffix.replace(/\/$/, '')}/.well-known/openid-configuration`)
  }
})

const document = {
  issuer: 'https://idp.example',
  authorization_endpoint: 'https://idp.example/a',
  token_endpoint: 'https://idp.example/t',
  jwks_uri: 'https://idp.example/j',
}
it('an optional endpoint that may not be spoken to is as good as none', () => {
  const read = parseMetadata(
    { ...document, revocation_endpoint: 'http://idp.example/r' },
    'https://idp.example',
    true,
    profileOf('generic'),
  )
  expect(read).toMatchObject({ kind: 'found', metadata: { revocationEndpoint: undefined } })
})
it.each([
  [undefined, ['RS256']],
  [['none', 'HS256'], []],
  [
    ['RS256', 'none', 'HS512', 'PS256', 'RS384'],
    ['RS256', 'PS256'],
  ],
])('announced %j leaves %j to verify with', (announced, kept) => {
  const extra = announced ? { id_token_signing_alg_values_supported: announced } : {}
  const read = parseMetadata({ ...document, ...extra }, 'https://idp.example', false, profileOf('generic'))
  expect(read).toMatchObject({ metadata: { idTokenAlgorithms: kept } })
})

const GUID_ISSUER = 'https://login.microsoftonline.com/5c1d0f6e-0000-4000-8000-000000000001/v2.0'
it.each([
  ['https://login.microsoftonline.com/contoso.com/v2.0', GUID_ISSUER, true],
  [GUID_ISSUER, GUID_ISSUER, true],
  [GUID_ISSUER, GUID_ISSUER.replace('0001/', '0002/'), false],
  ['https://login.microsoftonline.com/common/v2.0', GUID_ISSUER, false],
  ['https://login.microsoftonline.com/contoso.com/v2.0', 'https://login.microsoftonline.com/{tenantid}/v2.0', false],
  ['https://login.microsoftonline.com/contoso.com/v2.0', 'https://evil.example/5c1d0f6e-0000-4000-8000-000000000001/v2.0', false],
  ['https://idp.example/contoso.com/v2.0', GUID_ISSUER, false],
])('metadata asked for as %s may announce %s: %s', (configured, announced, may) => {
  expect(isIssuerOf(configured, announced, profileOf('entra').issuer)).toBe(may)
})
it.each([
  ['https://login.microsoftonline.us/common/v2.0', 'https://login.microsoftonline.us/{tenantid}/v2.0', true],
  ['https://login.partner.microsoftonline.cn/organizations/v2.0', 'https://login.partner.microsoftonline.cn/{tenantid}/v2.0', true],
  ['http://127.0.0.1:4000/organizations/v2.0', 'http://127.0.0.1:4000/{tenantid}/v2.0', true],
  ['https://login.microsoftonline.us/contoso.us/v2.0', 'https://login.microsoftonline.us/5c1d0f6e-0000-4000-8000-000000000001/v2.0', true],
  // A cloud of its own is another issuer.
  ['https://login.microsoftonline.us/common/v2.0', 'https://login.microsoftonline.com/{tenantid}/v2.0', false],
  ['https://login.microsoftonline.com/common/v2.0', 'https://login.microsoftonline.com/common/v2.0', true],
  ['https://login.microsoftonline.com/consumers/v2.0', 'https://login.microsoftonline.com/{tenantid}/v2.0', false],
  ['https://login.microsoftonline.com/{tenantid}/v2.0', 'https://login.microsoftonline.com/{tenantid}/v2.0', false],
  ['https://login.microsoftonline.com/common/v2.0', 'https://login.microsoftonline.com/{tenantid}/v2.0/', false],
  ['https://login.microsoftonline.com/common/v2.0', 'https://login.microsoftonline.com/{tenantid}{tenantid}/v2.0', false],
])('of several tenants, %s may announce %s: %s', (configured, announced, may) => {
  expect(isIssuerOf(configured, announced, profileOf('entra').issuer)).toBe(may)
})
it('a form is an issuer at no other provider', () => {
  const form = 'https://idp.example/{tenantid}/v2.0'
  expect(isIssuerOf('https://idp.example/common/v2.0', form, profileOf('generic').issuer)).toBe(false)
  expect(isIssuerOf(form, form, profileOf('generic').issuer)).toBe(false)
})

it('a domain that moves to another tenant does not take its sessions along', async () => {
  const answers = [GUID_ISSUER, GUID_ISSUER.replace('0001/', '0002/')]
  const moving = createDiscovery({
    name: 'default',
    issuer: 'https://login.microsoftonline.com/contoso.com/v2.0',
    profile: profileOf('entra'),
    insecureAllowHttp: false,
    timeoutMs: millis(2000),
    fetch: async () => ({
      kind: 'answered',
      status: 200,
      contentType: 'application/json',
      retryAfter: undefined,
      body: JSON.stringify({ ...document, issuer: answers.shift() }),
    }),
    clock,
    log: recordingLog().log,
  })
  await moving.get()
  clock.advance(3_600_001)
  await moving.get()
  await until(() => answers.length === 0)
  await new Promise((resolve) => setImmediate(resolve))
  expect(moving.held()?.issuer).toBe(GUID_ISSUER)
})
