import type { Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { choose, openScene, type Scene, sessionCookie, settled, signedIn, signIn } from './people.ts'

describe.skipIf(!canLaunchBrowser)('signing in', () => {
  let scene: Scene
  let app = ''
  beforeAll(async () => {
    scene = await openScene()
    app = scene.sites.app
  })
  afterAll(() => scene?.close())

  const tokensAsked = (): number => scene.sites.providerSaw.filter((line) => line === 'POST /token').length
  const attemptsOf = async (page: Page): Promise<string[]> =>
    (await page.context().cookies()).map(({ name }) => name).filter((name) => name.startsWith('__Host-Http-sallyport-login-'))

  it('leaves one Strict, HttpOnly, host-only session cookie and nothing of the attempt', async () => {
    const { context, page } = await signedIn(scene)
    const cookies = (await context.cookies(app)).map(({ value, ...attributes }) => ({ ...attributes, chars: value.length }))
    expect(cookies).toEqual([
      {
        name: '__Host-Http-sallyport',
        domain: 'app.test', // no dot in front: siblings do not get it
        path: '/',
        expires: -1,
        httpOnly: true,
        secure: true,
        sameSite: 'Strict',
        chars: 64,
      },
    ])
    // The page was asked for as itself: the callback's URL, with its code, is nowhere a script could read it.
    expect(await page.evaluate(() => performance.getEntriesByType('navigation').map(({ name }) => name))).toEqual([`${app}/app/home`])
    await context.close()
  })

  it('in two tabs at once ends signed in, in both', async () => {
    const context = await scene.browser.newContext()
    const tabs = await Promise.all([context.newPage(), context.newPage()])
    await Promise.all(tabs.map((tab, at) => tab.goto(`${app}/bff/login?return_to=%2Fapp%2Ftab${at}`)))
    await Promise.all(tabs.map((tab) => choose(tab)))
    await Promise.all(tabs.map((tab, at) => tab.waitForURL(`${app}/app/tab${at}`)))
    for (const tab of tabs) {
      await tab.reload() // the cookie is that of whoever came last
      await settled(tab, 'signed in as ada')
    }
    expect(await attemptsOf(tabs[0] as Page)).toEqual([])
    await context.close()
  })

  it('in six tabs, one more than attempts are kept, ends signed in, in all', async () => {
    const context = await scene.browser.newContext()
    const tabs: Page[] = []
    for (let at = 0; at < 6; at += 1) {
      const tab = await context.newPage()
      await tab.goto(`${app}/bff/login?return_to=%2Fapp%2Ftab${at}`)
      tabs.push(tab)
    }
    expect(await attemptsOf(tabs[0] as Page)).toHaveLength(5)
    for (const [at, tab] of tabs.entries()) {
      await choose(tab)
      await tab.waitForURL(`${app}/app/tab${at}`)
      await settled(tab, 'signed in as ada')
    }
    expect(await attemptsOf(tabs[0] as Page)).toEqual([])
    await context.close()
  })

  it('is not undone, nor done again, by the old callback URL from the history', async () => {
    const context = await scene.browser.newContext()
    const page = await context.newPage()
    const seen: string[] = []
    page.on('request', (request) => seen.push(request.url()))
    await signIn(page, scene.sites)
    const old = seen.find((url) => url.startsWith(`${app}/bff/callback?`)) ?? ''
    const cookie = (await sessionCookie(context))?.value
    const [asked, mark] = [tokensAsked(), scene.sites.mark()]
    await page.goto(old)
    await page.waitForURL(`${app}/app/home`)
    await settled(page, 'signed in as ada')
    expect((await sessionCookie(context))?.value).toBe(cookie)
    expect(tokensAsked()).toBe(asked)
    expect(scene.sites.heardAt('/bff/callback', mark)[0]?.setCookies).toEqual([])
    await context.close()
  })

  it('of the attacker does not become the session of the victim, who is sent a link to its callback', async () => {
    // The attacker signs in as himself and keeps the last step for somebody else.
    const attacker = await scene.browser.newContext()
    const his = await attacker.newPage()
    await his.route(`${app}/bff/callback?*`, (route) => route.abort())
    const [kept] = await Promise.all([
      his.waitForRequest((request) => request.url().startsWith(`${app}/bff/callback?`)),
      his.goto(`${app}/bff/login?return_to=%2Fapp%2Fhome`).then(() => choose(his, 'grace')),
    ])
    const callback = kept.url()
    expect(callback).toContain('code=')

    const victim = await scene.browser.newContext()
    const page = await victim.newPage()
    const [asked, mark] = [tokensAsked(), scene.sites.mark()]
    await page.goto(`${scene.sites.evil}/page?to=${encodeURIComponent(callback)}`)
    await page.click('#link0')
    // A login of her own is all that comes of it.
    await page.waitForURL(`${scene.sites.issuer}/interaction/**`)
    expect(await sessionCookie(victim)).toBeUndefined()
    expect(scene.sites.heardAt('/bff/callback', mark).map(({ setCookies }) => setCookies)).toEqual([[]])
    expect(tokensAsked()).toBe(asked) // the code was not even looked at

    // Nor in a browser that is signed in, nor in a frame or an image of another site.
    const { context, page: ada } = await signedIn(scene)
    const cookie = (await sessionCookie(context))?.value
    const evil = await context.newPage()
    await evil.goto(`${scene.sites.evil}/page?to=${encodeURIComponent(callback)}`)
    const since = scene.sites.mark()
    await evil.evaluate((url) => {
      for (const tag of ['img', 'iframe'] as const) document.body.append(Object.assign(document.createElement(tag), { src: url }))
    }, callback)
    await expect.poll(() => scene.sites.heardAt('/bff/callback', since).map(({ status }) => status)).toEqual([403, 403])
    await evil.click('#link0')
    await evil.waitForURL(`${app}/app/home`)
    await settled(evil, 'signed in as ada')
    expect((await sessionCookie(context))?.value).toBe(cookie)
    await ada.reload()
    await settled(ada, 'signed in as ada')
    await Promise.all([attacker.close(), victim.close(), context.close()])
  })

  it('as another person gives a new session, and the old cookie opens nothing any more', async () => {
    const { context, page } = await signedIn(scene)
    const old = await sessionCookie(context)
    if (!old) throw new Error('there is no session cookie')
    await page.goto(`${app}/bff/login?prompt=login&return_to=%2F`)
    await choose(page, 'grace')
    await page.waitForURL(`${app}/`)
    await page.locator('#who', { hasText: 'signed in as grace' }).waitFor()
    const thief = await scene.browser.newContext()
    await thief.addCookies([old])
    const his = await thief.newPage()
    await his.goto(`${app}/`)
    await settled(his, 'signed out')
    await Promise.all([context.close(), thief.close()])
  })
})
