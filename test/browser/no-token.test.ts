import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { expectNoLeak, leaks } from '../harness/canary.ts'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { auditOf } from '../harness/processes.ts'
import { PRIVATE } from '../harness/sites.ts'
import { choose, openScene, type Scene, settled, signedIn } from './people.ts'

/** Of a JSON Web Token, whichever, whole or cut: nothing that begins so has a reason to be at the browser. */
const JWT = /eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}/

describe.skipIf(!canLaunchBrowser)('of all that a browser sees in a working day', () => {
  let scene: Scene
  /** By place; each one was looked into. */
  const collected: Record<string, string> = {}
  const urls: string[] = []

  beforeAll(async () => {
    scene = await openScene()
    const { app, evil, issuer, tap, gateway } = scene.sites
    const { context, page } = await signedIn(scene)
    context.on('request', (request) => urls.push(request.url(), request.headers()['referer'] ?? ''))
    // A day: calls that work and calls that do not, a stream, a download, a deep link, an error page, another person's login, a cancelled one.
    const calls = ['/api/row', '/api/events', '/api/unknown', '/bff/user', '/bff/session', '/bff/nothing']
    await page.evaluate(async (all) => {
      for (const path of all) {
        const answer = await fetch(path, { headers: { 'x-csrf': '1' } })
        const reader = answer.body?.getReader()
        await reader?.read()
        await reader?.cancel()
      }
      for (const path of ['/bff/session/refresh', '/api/posted'])
        await fetch(path, { method: 'POST', headers: { 'x-csrf': '1' }, body: '{}' })
      await fetch('/api/bare', { method: 'POST', body: '{}' })
      localStorage.setItem('control', 'seen')
      sessionStorage.setItem('control', 'seen')
      document.cookie = 'control=seen; Secure'
    }, calls)
    await page.goto(`${evil}/page?to=${encodeURIComponent(`${app}/app/deep#x`)}`)
    await page.click('#link0')
    await settled(page, 'signed in as ada')
    collected['storage and script-readable cookies'] = await page.evaluate(() =>
      JSON.stringify([
        Object.entries(localStorage),
        Object.entries(sessionStorage),
        document.cookie,
        performance.getEntries(),
        history.state,
      ]),
    )
    collected['the whole document'] = await page.content()
    collected['the cookie jar'] = JSON.stringify(await context.cookies(app))
    for (const path of ['/bff/nothing', '/api/linked', '/bff/callback?code=x&state=y']) await page.goto(app + path)
    await page.goto(`${app}/bff/login?prompt=login`)
    await page.locator('button[name="user"][value=""]').click()
    await page.waitForURL(`${app}/bff/callback**`)
    await page.goto(`${app}/`)
    await settled(page, 'signed in as ada')
    await page.click('#out button')
    await page.waitForURL(`${issuer}/session/end**`)
    await page.locator('button[name="logout"]').click()
    await page.waitForURL(`${app}/bff/logout/callback**`)
    await page.goto(`${app}/`)
    await settled(page, 'signed out')
    await page.goto(`${app}/bff/login?return_to=%2F`)
    await choose(page, 'grace')
    await page.waitForURL(`${app}/`)
    await context.close()

    collected['every byte to the browser'] = tap.exchanges.map(({ received }) => received).join('\n')
    collected['every byte from the browser'] = tap.exchanges.map(({ sent }) => sent).join('\n')
    collected['URLs and referrers, of all sites'] = urls.join('\n')
    collected['requests at the provider'] = scene.sites.providerSaw.join('\n')
    collected['log and audit lines'] = gateway.output()
    collected['metrics'] = await (await fetch(`${gateway.ops}/metrics`)).text()
    collected['readiness'] = await (await fetch(`${gateway.ops}/readyz`)).text()
  })
  afterAll(() => scene?.close())

  it('and of all that the gateway writes, nothing holds a token or the client’s secret', () => {
    const { secrets } = scene.sites
    expect(secrets.size).toBeGreaterThanOrEqual(7) // the client's, three of the first login, more by refresh and by the second login
    expectNoLeak(secrets, collected)
    expect(Object.entries(collected).flatMap(([place, text]) => (JWT.test(text) ? [place] : []))).toEqual([])
  })

  it('the session cookie itself is in the jar and on the wire only', () => {
    const cookies = [...(collected['every byte to the browser'] ?? '').matchAll(/__Host-Http-sallyport=([A-Za-z0-9_-]{64})/g)].map(
      ([, value = '']) => value,
    )
    expect(cookies.length).toBeGreaterThanOrEqual(2)
    const elsewhere = Object.entries(collected).filter(([place]) => !place.startsWith('every byte') && place !== 'the cookie jar')
    expect(elsewhere.length).toBeGreaterThanOrEqual(6)
    expectNoLeak(cookies, Object.fromEntries(elsewhere))
  })

  it('the search looked at what it says: data, errors, storage, audit and metrics are in there', () => {
    expect(collected['every byte to the browser']).toContain(PRIVATE)
    for (const code of ['session.absent', 'csrf.header-absent']) expect(collected['every byte to the browser']).toContain(code)
    for (const text of ['was cancelled', 'You are signed out']) expect(collected['every byte to the browser']).toContain(text)
    expect(collected['storage and script-readable cookies']).toContain('["control","seen"]')
    expect(collected['storage and script-readable cookies']).toContain('control=seen')
    expect(collected['URLs and referrers, of all sites']).toContain(`${scene.sites.issuer}/interaction/`)
    expect(collected['metrics']).toContain('sallyport_login_attempts_total')
    const events = auditOf(scene.sites.gateway).map(({ event }) => event)
    expect(events).toEqual(
      expect.arrayContaining(['sign-in.started', 'sign-in.succeeded', 'sign-in.failed', 'session.ended', 'csrf.refused']),
    )
  })

  it('the tokens did reach the API', () => {
    const [call] = scene.sites.arrivals.filter(({ path }) => path === '/api/row')
    const sent = /^Bearer (\S+)$/.exec(call?.headers.authorization ?? '')?.[1] ?? ''
    expect(JWT.test(sent)).toBe(true)
    expect(scene.sites.secrets.has(sent)).toBe(true)
    for (const { headers } of scene.sites.arrivals) expect(headers.authorization).toMatch(/^Bearer eyJ/)
  })

  it('and the search finds one where an API gives it away', async () => {
    const { context, page } = await signedIn(scene)
    const mark = scene.sites.mark()
    const shown = await page.evaluate(() => fetch('/api/leak').then((answer) => answer.text()))
    await context.close()
    const received = scene.sites.tap.exchanges
      .slice(mark)
      .map((exchange) => exchange.received)
      .join('\n')
    expect(JWT.test(shown)).toBe(true)
    expect(leaks(scene.sites.secrets, { shown, received }).map(({ place }) => place)).toEqual(['shown', 'received'])
    expect(leaks(scene.sites.secrets, { encoded: Buffer.from(`x${shown}`).toString('base64') })).toHaveLength(1)
  })
})
