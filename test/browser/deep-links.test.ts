import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { PRIVATE } from '../harness/sites.ts'
import { choose, openScene, type Scene, sessionCookie, settled, signedIn, signIn } from './people.ts'

const DEEP = '/app/orders?id=7'

describe.skipIf(!canLaunchBrowser)('a deep link', () => {
  let scene: Scene
  let app = ''
  beforeAll(async () => {
    scene = await openScene()
    app = scene.sites.app
  })
  afterAll(() => scene?.close())

  /** Targets asked of the gateway since `mark`, own pages and the deep page only. */
  const walked = (mark: number): string[] =>
    scene.sites.tap.exchanges
      .slice(mark)
      .map(({ sent }) => sent.split(' ')[1] ?? '')
      .filter((target) => target.startsWith('/app') || target.startsWith('/bff/continue') || target.startsWith('/bff/login'))
  const CONTINUE = `/bff/continue?to=${encodeURIComponent(DEEP)}`

  describe('with a live session', () => {
    let context: BrowserContext
    let page: Page
    beforeAll(async () => {
      ;({ context } = await signedIn(scene))
    })
    afterAll(() => context?.close())
    beforeEach(async () => {
      page = await context.newPage()
    })
    afterEach(() => page.close())

    const attacker = (path: string, site: 'evil' | 'sub' = 'evil'): string =>
      `${scene.sites[site]}${path}?to=${encodeURIComponent(`${app}${DEEP}#part=2`)}`

    it.each([
      ['a link', (from: Page) => from.click('#link0')],
      ['a link without a referrer', (from: Page) => from.click('#link1')],
      ['a script', (from: Page) => from.evaluate(() => (location.href = document.querySelector<HTMLAnchorElement>('#link0')?.href ?? ''))],
      ['a GET form', (from: Page) => from.evaluate(submitGetForm)],
    ] as const)('from another site by %s lands on the page, once, with its fragment', async (_name, go) => {
      await page.goto(attacker('/page'))
      const mark = scene.sites.mark()
      await go(page)
      await page.waitForURL(`${app}${DEEP}#part=2`)
      await settled(page, 'signed in as ada')
      expect(await page.textContent('#here')).toBe(`${DEEP}#part=2`)
      expect(await page.textContent('#row')).toBe(PRIVATE)
      expect(walked(mark)).toEqual([DEEP, CONTINUE, DEEP])
    })

    it('in a new tab, by meta refresh and by a short link lands on the page as well', async () => {
      await page.goto(attacker('/page'))
      const [tab] = await Promise.all([context.waitForEvent('page'), page.click('#link2')])
      await tab.waitForURL(`${app}${DEEP}#part=2`)
      await settled(tab, 'signed in as ada')
      await tab.close()
      for (const path of ['/refresh', '/short']) {
        await page.goto(attacker(path)).catch(() => undefined) // a refresh of 0 s may overtake the page's own load
        await page.waitForURL(`${app}${DEEP}#part=2`)
        await settled(page, 'signed in as ada')
      }
    })

    it('from a sibling subdomain, and typed, needs no detour', async () => {
      await page.goto(attacker('/page', 'sub'))
      let mark = scene.sites.mark()
      await page.click('#link0')
      await page.waitForURL(`${app}${DEEP}#part=2`)
      await settled(page, 'signed in as ada')
      expect(walked(mark)).toEqual([DEEP])
      mark = scene.sites.mark()
      await page.goto(`${app}/app/typed#x`)
      await settled(page, 'signed in as ada')
      expect(walked(mark)).toEqual(['/app/typed'])
    })

    it('leaves a page that reloads, goes back and forward without another detour', async () => {
      await page.goto(attacker('/page'))
      await page.click('#link0')
      await page.waitForURL(`${app}${DEEP}#part=2`)
      await settled(page, 'signed in as ada')
      const mark = scene.sites.mark()
      await page.reload()
      await settled(page, 'signed in as ada')
      expect(walked(mark)).toEqual([DEEP])
      await page.goBack()
      expect(page.url()).toBe(attacker('/page')) // neither the bounce nor /bff/continue is in the history
      await page.goForward()
      await page.waitForURL(`${app}${DEEP}#part=2`)
      await settled(page, 'signed in as ada')
      expect(walked(mark).filter((target) => target.startsWith('/bff'))).toEqual([])
    })

    it('to /bff/continue itself lands on the page, and goes round no further', async () => {
      const mark = scene.sites.mark()
      await page.goto(`${scene.sites.evil}/page?to=${encodeURIComponent(app + CONTINUE)}`)
      await page.click('#link0')
      await page.waitForURL(`${app}${DEEP}`)
      await settled(page, 'signed in as ada')
      expect(walked(mark)).toEqual([CONTINUE, DEEP, CONTINUE, DEEP])
    })

    it('to an API is refused, not bounced, and reaches no upstream', async () => {
      const mark = scene.sites.mark()
      await page.goto(`${scene.sites.evil}/page?to=${encodeURIComponent(`${app}/api/linked`)}`)
      const [answer] = await Promise.all([page.waitForResponse(`${app}/api/linked`), page.click('#link0')])
      expect(answer.status()).toBe(403)
      await page.locator('h1').waitFor()
      expect(await page.content()).not.toContain('/bff/continue')
      expect(scene.sites.heardAt('/api/linked', mark)).toHaveLength(1)
      expect(scene.sites.arrivals.filter(({ path }) => path.startsWith('/api/linked'))).toEqual([])
    })
  })

  it('without script lands on the page all the same, only its fragment is lost', async () => {
    const context = await scene.browser.newContext({ javaScriptEnabled: false })
    const page = await context.newPage()
    await page.goto(`${app}/bff/login?return_to=%2Fapp%2Fhome`)
    await choose(page)
    await page.waitForURL(`${app}/app/home`)
    await page.goto(`${scene.sites.evil}/page?to=${encodeURIComponent(`${app}${DEEP}#part=2`)}`)
    const mark = scene.sites.mark()
    await page.click('#link0')
    await page.waitForURL(`${app}${DEEP}`)
    expect(await page.title()).toBe('The application')
    expect(walked(mark)).toEqual([DEEP, CONTINUE, DEEP])
    await context.close()
  })

  it('of a signed-out visitor leads through the login to the page, with its fragment, which the provider never sees', async () => {
    const context = await scene.browser.newContext()
    const page = await context.newPage()
    const mark = scene.sites.mark()
    const asked = scene.sites.providerSaw.length
    await page.goto(`${scene.sites.evil}/page?to=${encodeURIComponent(`${app}${DEEP}#my-secret-fragment`)}`)
    await page.click('#link0')
    await page.waitForURL(`${scene.sites.issuer}/interaction/**`)
    expect(page.url()).not.toContain('my-secret-fragment')
    expect(await page.evaluate(() => location.hash)).toBe('')
    await choose(page)
    await page.waitForURL(`${app}${DEEP}#my-secret-fragment`)
    await settled(page, 'signed in as ada')
    const login = `/bff/login?return_to=${encodeURIComponent(`${DEEP}#my-secret-fragment`)}`
    expect(walked(mark)).toEqual([DEEP, CONTINUE, login, DEEP])
    expect(scene.sites.providerSaw.slice(asked).filter((line) => line.includes('my-secret-fragment'))).toEqual([])
    expect(scene.sites.providerSaw.length).toBeGreaterThan(asked + 2)
    await context.close()
  })

  it.each([
    ['which no return-to may hold', true, '#a\\b'],
    ['which is too long', true, `#${'x'.repeat(1100)}`],
    ['without script', false, '#part=2'],
  ])('of a signed-out visitor leads to the page without a fragment %s', async (_what, javaScriptEnabled, fragment) => {
    const context = await scene.browser.newContext({ javaScriptEnabled })
    const page = await context.newPage()
    const mark = scene.sites.mark()
    await page.goto(`${app}${DEEP}${fragment}`)
    await page.waitForURL(`${scene.sites.issuer}/interaction/**`)
    await choose(page)
    await page.waitForURL(`${app}${DEEP}`)
    expect(walked(mark)).toEqual([DEEP, CONTINUE, `/bff/login?return_to=${encodeURIComponent(DEEP)}`, DEEP])
    await context.close()
  })

  it('typed by a signed-out visitor ends at the login after one detour, not in a loop', async () => {
    const context = await scene.browser.newContext()
    const page = await context.newPage()
    const mark = scene.sites.mark()
    await page.goto(`${app}${DEEP}`)
    await page.waitForURL(`${scene.sites.issuer}/interaction/**`)
    expect(walked(mark)).toEqual([DEEP, CONTINUE, `/bff/login?return_to=${encodeURIComponent(DEEP)}`])
    expect(await sessionCookie(context)).toBeUndefined()
    await context.close()
  })

  it('with the cookie of a session that is over signs in again, and does not loop', async () => {
    const { context, page } = await signedIn(scene)
    const old = await sessionCookie(context)
    if (!old) throw new Error('there is no session cookie')
    expect(
      await page.evaluate(() => fetch('/bff/logout/local', { method: 'POST', headers: { 'x-csrf': '1' } }).then(({ status }) => status)),
    ).toBe(200)
    await context.addCookies([old]) // as if the answer to the sign-out had been lost
    const mark = scene.sites.mark()
    await page.goto(`${app}${DEEP}`)
    await page.waitForURL(`${app}${DEEP}`) // the provider still knows Ada
    await settled(page, 'signed in as ada')
    expect(walked(mark)).toEqual([DEEP, `/bff/login?return_to=${encodeURIComponent(DEEP)}`, DEEP])
    expect((await sessionCookie(context))?.value).not.toBe(old.value)
    await context.close()
  })

  // On a page without a gate nothing would heal a callback that redirects: the reload would stay cross-site for ever.
  it.each([DEEP, '/'])('to %s keeps the session over a reload right after the login', async (path) => {
    const context = await scene.browser.newContext()
    const page = await context.newPage()
    await signIn(page, scene.sites, path)
    const mark = scene.sites.mark()
    await page.reload()
    await settled(page, 'signed in as ada')
    const [reload, ...more] = scene.sites.heardAt(path.split('?')[0] ?? '', mark)
    expect(more).toEqual([])
    expect(reload?.request('sec-fetch-site')).toBe('same-origin')
    expect(reload?.request('cookie')).toContain('__Host-Http-sallyport=')
    await context.close()
  })
})

const submitGetForm = (): void => {
  const target = new URL(document.querySelector<HTMLAnchorElement>('#link0')?.href ?? '')
  const form = document.createElement('form')
  form.action = target.origin + target.pathname + target.hash
  for (const [name, value] of target.searchParams) form.append(Object.assign(document.createElement('input'), { name, value }))
  document.body.append(form)
  form.submit()
}
