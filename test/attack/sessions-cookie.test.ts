import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { newCookie } from '../../src/session/id.ts'
import { load, good } from '../unit/config/a-config.ts'
import { cookiesOf, type EdgeHost, edgeHost, fetching, type Got, jarOf, navigation, signedIn } from '../harness/edge-host.ts'

/** The one thing a browser holds: what it looks like, who may choose it, and what is not it. */
let host: EdgeHost
beforeEach(async () => {
  host = await edgeHost()
})
afterEach(() => host.close())

const name = (): string => `__Host-Http-sallyport-${host.port}`
const start = async (cookie?: string, query = ''): Promise<Got> =>
  host.ask(`/bff/login${query}`, { headers: { ...navigation(), ...(cookie !== undefined && { cookie }) } })
const stateOf = (got: Got): string => new URL(String(got.headers.location)).searchParams.get('state') ?? ''
const finish = (started: Got, jar = jarOf(...cookiesOf(started))): Promise<Got> =>
  host.ask(`/bff/callback?${new URLSearchParams({ code: 'c', state: stateOf(started) }).toString()}`, {
    headers: { ...navigation('cross-site'), cookie: jar },
  })
const user = (cookie: string): Promise<Got> => host.ask('/bff/user', { headers: { ...fetching, cookie } })
const api = (cookie: string | string[]): Promise<Got> => host.ask('/api/orders', { headers: { ...fetching, cookie } })
const attributes = (line: string): string[] => line.split('; ').slice(1)

describe('every cookie the gateway sets', () => {
  const everyLine = async (): Promise<{ readonly session: string; readonly attempt: string; readonly cleared: readonly string[] }> => {
    const started = await start()
    const got = await finish(started)
    const out = await host.ask('/bff/logout', { method: 'POST', headers: { ...fetching, cookie: jarOf(cookiesOf(got)[0] ?? '') } })
    return {
      session: cookiesOf(got)[0] ?? '',
      attempt: cookiesOf(started)[0] ?? '',
      cleared: [cookiesOf(got)[1] ?? '', cookiesOf(out)[0] ?? ''],
    }
  }
  it('is Secure, HttpOnly, host-only under __Host-Http- and Path=/, never readable by script nor shared with a sibling', async () => {
    const { session, attempt, cleared } = await everyLine()
    for (const line of [session, attempt, ...cleared]) {
      expect(line).toMatch(/^__Host-Http-sallyport-/)
      expect(attributes(line)).toEqual(expect.arrayContaining(['Secure', 'HttpOnly', 'Path=/']))
      expect(line).not.toMatch(/domain=/i)
    }
  })
  it('is SameSite=Strict for the session, Lax for the attempt alone', async () => {
    const { session, attempt } = await everyLine()
    expect([attributes(session), attributes(attempt)].map((all) => all.filter((one) => one.startsWith('SameSite')))).toEqual([
      ['SameSite=Strict'],
      ['SameSite=Lax'],
    ])
    expect(session).not.toMatch(/max-age|expires/i)
  })
  it('is small, and is deleted under the attributes it was set with, or the browser would keep it', async () => {
    const { session, attempt, cleared } = await everyLine()
    expect(jarOf(session).length).toBeLessThan(128)
    expect(jarOf(attempt).length).toBeLessThanOrEqual(250)
    const lasting = (line: string): string[] => attributes(line).filter((one) => !/^(max-age|expires)=/i.test(one))
    expect(cleared.map((line) => lasting(line))).toEqual([lasting(attempt), lasting(session)])
    for (const line of cleared) expect(line).toMatch(/^[^=]+=; Max-Age=0; /)
  })
  it.each([
    ['public_url over http on another machine', good({ public_url: 'public_url: http://shop.example.com' }), 'config.public-url-insecure'],
    ['another name', good({}, ['session: { cookie_name: sid }']), 'config.key-unknown'],
    ['a Domain', good({}, ['session: { cookie: { domain: example.com } }']), 'config.key-unknown'],
    ['SameSite=None', good({}, ['session: { same_site: none }']), 'config.key-unknown'],
    ['without Secure', good({}, ['session: { cookie_secure: false }']), 'config.key-unknown'],
  ])('cannot be configured weaker: %s', (_name, text, code) => {
    const result = load(text)
    expect(result.kind === 'refused' && result.findings.map((finding) => finding.code)).toContain(code)
  })
})

it('100,000 session ids: no two alike, and every bit of them a coin toss', () => {
  const COUNT = 100_000
  const seen = new Set<string>()
  const refs = new Set<string>()
  const bytesSeen = new Uint32Array(48 * 256)
  for (let n = 0; n < COUNT; n += 1) {
    const { cookie, ref } = newCookie()
    const text = cookie.reveal()
    seen.add(text.slice(0, 21)) // 126 of the 128 bits of the id
    refs.add(ref)
    for (const [at, byte] of Buffer.from(text, 'base64url').entries()) bytesSeen[at * 256 + byte]! += 1
  }
  const ones = Array.from({ length: 48 * 8 }, (_, position) => {
    const at = position >> 3
    return bytesSeen.subarray(at * 256, at * 256 + 256).reduce((sum, count, byte) => sum + ((byte >> (position & 7)) & 1) * count, 0)
  })
  expect([seen.size, refs.size]).toEqual([COUNT, COUNT])
  // Monobit per position: 7 standard deviations from half, for 384 positions, is one false alarm in 10^9 runs.
  const most = 7 * Math.sqrt(COUNT / 4)
  for (const [position, count] of ones.entries()) expect(Math.abs(count - COUNT / 2), `bit ${position}`).toBeLessThan(most)
  // Chi-squared over all bits, one degree of freedom each: 384 ± 28 expected.
  const chi = ones.reduce((sum, count) => sum + (2 * count - COUNT) ** 2 / COUNT, 0)
  expect(chi).toBeGreaterThan(384 - 200)
  expect(chi).toBeLessThan(384 + 200)
})

describe('a session id is ours to choose', () => {
  it('one that was planted before the login is neither adopted nor kept', async () => {
    const planted = `${name()}=${'A'.repeat(64)}`
    const started = await start(planted)
    const got = await finish(started, `${planted}; ${jarOf(...cookiesOf(started))}`)
    const mine = jarOf(cookiesOf(got)[0] ?? '')
    expect(mine).not.toBe(planted)
    expect([(await user(planted)).status, (await user(mine)).status]).toEqual([401, 200])
  })
  it('one of a living session dies with the next login, whoever holds it', async () => {
    const before = await signedIn(host)
    const got = await finish(await start(before)) // the callback itself does not see the Strict cookie
    const now = jarOf(cookiesOf(got)[0] ?? '')
    expect(now).not.toBe(before)
    expect([(await user(before)).status, (await api(before)).status, (await user(now)).status]).toEqual([401, 401, 200])
    expect(JSON.parse((await user(before)).body)).toMatchObject({ code: 'session.replaced' })
  })
  it('a login with the same account and one with prompt=login give a new one as well', async () => {
    const first = await signedIn(host)
    const second = jarOf(cookiesOf(await finish(await start(first, '?prompt=login')))[0] ?? '')
    expect(new Set([first, second]).size).toBe(2)
    expect((await user(first)).status).toBe(401)
  })
  it('a callback that failed leaves the session alone that was there', async () => {
    const mine = await signedIn(host)
    const started = await start(mine)
    host.broken.redeem = { kind: 'invalid', check: 'nonce' }
    const got = await finish(started)
    expect(cookiesOf(got).every((line) => /-login-[\w-]{22}=; Max-Age=0/.test(line))).toBe(true)
    expect((await user(mine)).status).toBe(200)
  })
})

describe('what is not exactly our cookie is no session', () => {
  it.each<[string, (cookie: string, value: string) => string]>([
    ['tampered in the id', (_all, value) => `${name()}=${value.startsWith('A') ? 'B' : 'A'}${value.slice(1)}`],
    ['tampered in the data key', (_all, value) => `${name()}=${value.slice(0, 63)}${value.endsWith('A') ? 'B' : 'A'}`],
    ['cut by a character', (_all, value) => `${name()}=${value.slice(0, 63)}`],
    ['longer by a character', (_all, value) => `${name()}=${value}A`],
    ['padded', (_all, value) => `${name()}=${value}=`],
    ['in upper case', (_all, value) => `${name()}=${value.toUpperCase()}`],
    ['quoted', (_all, value) => `${name()}="${value}"`],
    ['percent-encoded', (_all, value) => `${name()}=%${value.charCodeAt(0).toString(16)}${value.slice(1)}`],
    ['in base64 instead of base64url', (_all, value) => `${name()}=${value.slice(0, 62)}+/`],
    ['followed by a blank inside', (_all, value) => `${name()}=${value.slice(0, 32)} ${value.slice(32)}`],
    ['under the name in other case', (_all, value) => `${name().toLowerCase()}=${value}`],
    ['under a longer name', (_all, value) => `x${name()}=${value}`],
    ['under a name with NBSP in front', (_all, value) => `\u00a0${name()}=${value}`],
    ['under the name without its prefix', (_all, value) => `sallyport-${host.port}=${value}`],
    ['under the name of another port', (_all, value) => `__Host-Http-sallyport-1=${value}`],
    ['twice with one value', (all) => `${all}; ${all}`],
    ['before a second value', (all) => `${all}; ${name()}=${'A'.repeat(64)}`],
    ['after an empty one', (all) => `${name()}=; ${all}`],
    ['in a comma-joined header', (all) => `a=b, ${all}`],
    ['empty', () => `${name()}=`],
    ['10 kB long', () => `${name()}=${'A'.repeat(10_000)}`],
  ])('%s', async (_name, spoil) => {
    const mine = await signedIn(host)
    const spoiled = spoil(mine, mine.slice(mine.indexOf('=') + 1))
    for (const got of [await user(spoiled), await api(spoiled)]) expect([got.status, cookiesOf(got)]).toEqual([401, []])
    expect(host.upstreamSaw).toEqual([])
    expect((await user(mine)).status).toBe(200) // and nobody was signed out by trying
  })
})

it('the session cookie never reaches an upstream: alone, doubled, among others, in several headers or under another header’s name', async () => {
  const mine = await signedIn(host)
  const value = mine.slice(mine.indexOf('=') + 1)
  const other = `${name()}-login-AAAAAAAAAAAAAAAAAAAAAA=1.x`
  for (const cookie of [mine, `a=b; ${mine}; c=d`, `${mine}; ${other}`, `a=b;${mine}`]) expect((await api(cookie)).status).toBe(200)
  for (const cookie of [`${mine}; ${mine}`, `a=b; ${name().toUpperCase()}=${value}`]) await host.ask('/public/x', { headers: { cookie } })
  await host.ask('/public/x', { headers: { cookie: [mine, 'a=b', mine] } })
  expect(host.upstreamSaw.length).toBe(7)
  for (const { cookie } of host.upstreamSaw) expect(cookie).toBeUndefined()
})

it('60 abandoned logins leave at most five small cookies, and the last tabs all finish, in any order', async () => {
  const jar = new Map<string, string>()
  const keep = (got: Got): void => {
    for (const line of cookiesOf(got)) {
      const [pair = ''] = line.split(';')
      const at = pair.indexOf('=')
      if (/max-age=0/i.test(line)) jar.delete(pair.slice(0, at))
      else jar.set(pair.slice(0, at), pair.slice(at + 1))
    }
  }
  const header = (): string => [...jar].map(([key, value]) => `${key}=${value}`).join('; ')
  const tabs: Got[] = []
  for (let n = 0; n < 60; n += 1) {
    host.clock.shift(1000)
    const started = await start(header(), `?return_to=/tab/${n}`)
    tabs.push(started)
    keep(started)
    expect(jar.size).toBeLessThanOrEqual(5)
    expect(header().length).toBeLessThan(2048)
  }
  for (const n of [57, 59, 56, 58]) {
    const got = await finish(tabs[n]!, header())
    expect(got.headers['refresh']).toBe(`0;url=/tab/${n}`)
    keep(got)
  }
  // One that was pushed out is no error page either: it is begun anew, once.
  expect((await finish(tabs[3]!, header())).headers['refresh']).toBe('0;url=/bff/login/resume?return_to=%2Ftab%2F3')
})
