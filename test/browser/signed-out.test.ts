import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { PRIVATE } from '../harness/sites.ts'
import { openScene, type Scene, sessionCookie, settled, signedIn } from './people.ts'

describe.skipIf(!canLaunchBrowser)('after signing out', () => {
  let scene: Scene
  let context: BrowserContext
  let page: Page
  let app = ''
  beforeAll(async () => {
    scene = await openScene('people')
    app = scene.sites.app
  })
  afterAll(() => scene?.close())
  beforeEach(async () => {
    ;({ context, page } = await signedIn(scene))
  })
  afterEach(() => context?.close())

  const signOut = (from: Page, path = '/bff/logout'): Promise<unknown> =>
    from.evaluate((to) => fetch(to, { method: 'POST', headers: { 'x-csrf': '1' } }).then((answer) => answer.json()), path)

  /** As the back button does; Playwright's own way waits for a load, which a page from the back/forward cache never has. */
  const back = async (in_: Page, steps = 1): Promise<void> => {
    const devtools = await context.newCDPSession(in_)
    const { entries, currentIndex } = await devtools.send('Page.getNavigationHistory')
    const entry = entries[currentIndex - steps]
    if (!entry) throw new Error('there is no page to go back to')
    await devtools.send('Page.navigateToHistoryEntry', { entryId: entry.id })
    await devtools.detach()
  }

  it('the back button shows nothing private, though this browser keeps pages alive', async () => {
    // Control: another page does come back from the back/forward cache.
    const other = await context.newPage()
    await other.goto(`${scene.sites.evil}/page`)
    await other.evaluate(() => addEventListener('pageshow', ({ persisted }) => (document.title = `persisted ${persisted}`)))
    await other.goto(`${scene.sites.sub}/page`)
    await back(other)
    await other.waitForFunction(() => document.title === 'persisted true')

    for (const path of ['/app/home', '/']) {
      await page.goto(app + path)
      await settled(page, 'signed in as ada')
    }
    await signOut(page, '/bff/logout/local')
    await context.clearCookies({ domain: '127.0.0.1' }) // nor does the provider remember
    await page.goto(`${scene.sites.evil}/page`)
    const mark = scene.sites.mark()
    await back(page)
    await page.waitForURL(`${app}/`)
    await settled(page, 'signed out')
    await back(page)
    await page.waitForURL(`${scene.sites.issuer}/interaction/**`)
    expect(scene.sites.heardAt('/', mark)).toHaveLength(1)
    expect(scene.sites.heardAt('/app/home', mark)).toHaveLength(1)
    expect(await page.content()).not.toContain(PRIVATE)
  })

  it('somewhere else, with this cookie, the back button shows nothing private here', async () => {
    expect(await page.textContent('#row')).toBe(PRIVATE)
    await page.goto(`${scene.sites.evil}/page`)
    // Another holder of the cookie signs out: nothing in this browser changes.
    const held = await sessionCookie(context)
    const elsewhere = await scene.browser.newContext()
    await elsewhere.addCookies(held ? [held] : [])
    const there = await elsewhere.newPage()
    await there.goto(`${app}/`)
    await settled(there, 'signed in as ada')
    await signOut(there, '/bff/logout/local')
    await elsewhere.close()
    expect(await sessionCookie(context)).toEqual(held)
    await context.clearCookies({ domain: '127.0.0.1' })
    await back(page)
    await page.waitForURL(`${scene.sites.issuer}/interaction/**`)
    expect(await page.content()).not.toContain(PRIVATE)
  })

  it('the HTTP cache holds no answer of an API any more, not even one that allowed it', async () => {
    const ask = () => page.evaluate(() => fetch('/api/cached').then((answer) => answer.text()))
    const mark = scene.sites.mark()
    expect(await ask()).toBe(PRIVATE)
    expect(await ask()).toBe(PRIVATE)
    expect(scene.sites.heardAt('/api/cached', mark)).toHaveLength(1) // control: the second came from the cache
    await signOut(page)
    expect(await ask()).toContain('session.absent')
    expect(scene.sites.heardAt('/api/cached', mark)).toHaveLength(2)
  })

  // A busy machine may hold up what takes milliseconds; a gateway that does not keep its promise fails each time.
  it('an open stream ends within a second, and does not come back', { retry: 2 }, async () => {
    const arrivals = () => scene.sites.arrivals.filter(({ path }) => path === '/api/events').length
    const before = arrivals()
    const events = await page.evaluateHandle(() => {
      const seen: { kind: string; at: number; state: number }[] = []
      const source = new EventSource('/api/events')
      for (const kind of ['message', 'error'] as const)
        source.addEventListener(kind, () => seen.push({ kind, at: performance.now(), state: source.readyState }))
      return seen
    })
    await page.waitForFunction((seen) => seen.some(({ kind }) => kind === 'message'), events)
    const left = await page.evaluate(() => performance.now())
    await signOut(page, '/bff/logout/local')
    await page.waitForFunction((seen) => seen.some(({ kind }) => kind === 'error'), events)
    const cut = (await events.jsonValue()).find(({ kind }) => kind === 'error')
    expect((cut?.at ?? Infinity) - left).toBeLessThan(1_000)
    // EventSource tries again by itself; 401 makes it give up for good.
    await page.waitForFunction((seen) => seen.at(-1)?.state === 2, events, { timeout: 10_000 })
    expect(arrivals()).toBe(before + 1)
  })

  it('another tab is refused at its next call and shows no more', async () => {
    const second = await context.newPage()
    await second.goto(`${app}/app/second`)
    await settled(second, 'signed in as ada')
    await signOut(page)
    const status = await second.evaluate(() => fetch('/api/row').then((answer) => answer.status))
    expect(status).toBe(401)
    await second.goto(`${app}/`)
    await settled(second, 'signed out')
  })

  it('by a plain form, without script, the cookie is gone and the provider has been asked', async () => {
    const asked = scene.sites.providerSaw.length
    await page.click('#out button')
    await page.waitForURL(`${scene.sites.issuer}/session/end**`)
    expect(await sessionCookie(context)).toBeUndefined()
    expect(scene.sites.providerSaw.slice(asked).join('\n')).toContain('POST /token/revocation')
    await page.locator('button[name="logout"]').click()
    await page.waitForURL(`${app}/bff/logout/callback**`)
    await page.locator('h1', { hasText: 'You are signed out' }).waitFor()
  })
})
