import { afterEach, describe, expect, it } from 'vitest'
import { cookiesOf, type EdgeHost, edgeHost, type Got, jarOf, navigation } from '../harness/edge-host.ts'
import { minutes } from '../../src/kernel/time.ts'

let host: EdgeHost
afterEach(() => host.close())

const limited = async (perAddress: number | undefined, global?: number): Promise<void> => {
  const rate = (count: number | undefined) => (count === undefined ? undefined : { count, perMs: minutes(1) })
  host = await edgeHost({ loginRate: { perAddress: rate(perAddress), global: rate(global) } })
}
const login = (query = '', headers: Record<string, string> = navigation()): Promise<Got> => host.ask(`/bff/login${query}`, { headers })
const startedEvents = (): number => host.events.filter(({ event }) => event === 'sign-in.started').length

describe('over the limit', () => {
  it('a page says when to come back: no cookie, no state, and nobody asks the provider', async () => {
    await limited(3)
    for (let n = 0; n < 3; n += 1) expect((await login()).status).toBe(302)
    const asked = host.authorizations()
    const got = await login('?return_to=/orders')
    expect([got.status, got.headers['retry-after'], cookiesOf(got), got.headers.location]).toEqual([429, '20', [], undefined])
    expect(got.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(got.headers['cache-control']).toBe('no-store')
    expect(got.body).toContain('href="/bff/login?return_to=%2Forders"')
    expect(got.body).not.toContain('state=')
    expect(host.authorizations()).toBe(asked)
    expect(startedEvents()).toBe(3)
    host.clock.shift(20_000)
    expect((await login()).status).toBe(302)
    expect((await login()).status).toBe(429)
  })

  it('what is no navigation gets the problem as JSON', async () => {
    await limited(1)
    await login()
    const got = await login('', { accept: 'application/json' })
    expect([got.status, JSON.parse(got.body).code]).toEqual([429, 'login.rate-limited'])
  })

  it('is one audit event for a thousand refusals, and each is counted', async () => {
    await limited(1)
    await login()
    await Promise.all(Array.from({ length: 100 }, () => login()))
    const events = host.events.filter(({ event }) => event === 'sign-in.limited')
    expect(events).toMatchObject([{ event: 'sign-in.limited', limit: 'address', address: '127.0.0.1' }])
    expect(host.counted('sallyport_guard_rate_refusals_total')).toBe(100)
  })

  it('of everybody: the same, whoever asks', async () => {
    await limited(undefined, 2)
    await login()
    await login()
    expect((await login()).status).toBe(429)
    expect(host.events.at(-1)).toMatchObject({ event: 'sign-in.limited', limit: 'global' })
  })
})

describe('what draws from it', () => {
  it('a resume that starts a sign-in, and none that finds a session or gives up', async () => {
    await limited(2)
    const started = await login()
    const state = new URL(String(started.headers.location)).searchParams.get('state') ?? ''
    const back = await host.ask(`/bff/callback?${new URLSearchParams({ code: 'c', state }).toString()}`, {
      headers: { ...navigation('cross-site'), cookie: jarOf(...cookiesOf(started)) },
    })
    const session = jarOf(cookiesOf(back)[0] ?? '')
    for (let n = 0; n < 5; n += 1) {
      expect((await host.ask('/bff/login/resume?return_to=/x', { headers: { ...navigation(), cookie: session } })).status).toBe(303)
      expect((await host.ask('/bff/login/resume?return_to=/x&last=1', { headers: navigation() })).status).toBe(400)
    }
    expect((await host.ask('/bff/login/resume?return_to=/x', { headers: navigation() })).status).toBe(302)
    expect((await host.ask('/bff/login/resume?return_to=/x', { headers: navigation() })).status).toBe(429)
  })

  it('nothing that is refused for itself: another site’s image cannot use up somebody’s sign-ins', async () => {
    await limited(1)
    const image = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors', 'sec-fetch-dest': 'image' }
    for (const headers of [
      image,
      { ...navigation('cross-site'), 'sec-fetch-dest': 'iframe' },
      { ...navigation('none'), 'sec-purpose': 'prefetch' },
    ])
      for (let n = 0; n < 3; n += 1) expect((await login('', headers)).status).toBeGreaterThanOrEqual(400)
    expect((await login('?prompt=evil')).status).toBe(400)
    expect((await login()).status).toBe(302)
  })

  it('a forwarded address only where it comes from a trusted proxy', async () => {
    await limited(2)
    const spoofed = (n: number) => login('', { ...navigation(), 'x-forwarded-for': `192.0.2.${n}`, forwarded: `for=192.0.2.${n}` })
    expect([(await spoofed(1)).status, (await spoofed(2)).status, (await spoofed(3)).status]).toEqual([302, 302, 429])
    await host.close()
    host = await edgeHost({
      loginRate: { perAddress: { count: 2, perMs: minutes(1) }, global: undefined },
      trustedProxies: ['127.0.0.0/8'],
    })
    for (const n of [1, 2, 3]) expect((await spoofed(n)).status).toBe(302)
    // The client's own words stand left of the proxy's: they are not believed.
    const lied = (n: number) => login('', { ...navigation(), 'x-forwarded-for': `203.0.113.${n}, 192.0.2.9` })
    expect([(await lied(1)).status, (await lied(2)).status, (await lied(3)).status]).toEqual([302, 302, 429])
    // One subscriber's /64, however often the address changes.
    const v6 = (n: number) => login('', { ...navigation(), 'x-forwarded-for': `2001:db8:1:2::${n}` })
    expect([(await v6(1)).status, (await v6(2)).status, (await v6(3)).status]).toEqual([302, 302, 429])
  })
})
