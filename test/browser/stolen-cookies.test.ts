import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { canLaunchBrowser } from '../harness/chromium.ts'
import { openScene, type Scene, SESSION, sessionCookie, settled, signedIn } from './people.ts'

const PLANTED = 'P'.repeat(64)
const NAMES = [SESSION, SESSION.toLowerCase(), SESSION.toUpperCase(), ` ${SESSION}`]

describe.skipIf(!canLaunchBrowser)('the session cookie', () => {
  let scene: Scene
  let context: BrowserContext
  let page: Page
  let cookie = ''
  beforeAll(async () => {
    scene = await openScene()
    const first = await signedIn(scene)
    cookie = (await sessionCookie(first.context))?.value ?? ''
    expect(cookie).toHaveLength(64)
    await first.context.close()
  })
  afterAll(() => scene?.close())
  beforeEach(async () => {
    context = await scene.browser.newContext()
    const attributes = { url: scene.sites.app, secure: true, httpOnly: true, sameSite: 'Strict' as const }
    await context.addCookies([{ name: SESSION, value: cookie, ...attributes }])
    page = await context.newPage()
    await page.goto(`${scene.sites.app}/app/home`)
    await settled(page, 'signed in as ada')
  })
  afterEach(() => context?.close())

  const stillAda = async (): Promise<void> => {
    expect((await sessionCookie(context))?.value).toBe(cookie)
    await page.goto(`${scene.sites.app}/app/home`)
    await settled(page, 'signed in as ada')
  }
  const plantings = [...NAMES.map((name) => `${name}=${PLANTED}; Secure; Path=/`), `=${SESSION}=${PLANTED}; Secure; Path=/`]
  const write = (from: Page, lines: readonly string[]): Promise<unknown> =>
    from.evaluate(async (texts) => {
      for (const text of texts) document.cookie = text
      const store = (globalThis as unknown as { cookieStore: { set(name: string, value: string): Promise<void> } }).cookieStore
      return Promise.all(
        texts.map((text) =>
          store.set(text.split('=')[0] ?? '', 'x').then(
            () => 'set',
            (error: unknown) => String(error),
          ),
        ),
      )
    }, lines)

  it('is not to be read by a script of the application', async () => {
    expect(await page.evaluate(() => document.cookie)).toBe('')
    const names = await page.evaluate(() =>
      (globalThis as unknown as { cookieStore: { getAll(): Promise<{ name: string }[]> } }).cookieStore.getAll(),
    )
    expect(names).toEqual([])
  })

  it('is not to be planted, replaced or removed by a script of the application', async () => {
    const told = (await write(page, plantings)) as string[]
    expect(told[0]).toContain('TypeError')
    await write(page, [`${SESSION}=; Max-Age=0; Secure; Path=/`])
    // Control: the script can write cookies.
    await write(page, ['own=1; Secure; Path=/'])
    expect(await page.evaluate(() => document.cookie)).toContain('own=')
    await stillAda()
  })

  it('is not to be planted where there is none, even after a flood that drives it out', async () => {
    await page.evaluate(() => {
      for (let at = 0; at < 400; at += 1) document.cookie = `flood${at}=${'x'.repeat(20)}; Secure; Path=/`
    })
    await context.clearCookies({ name: SESSION })
    await write(page, plantings)
    expect(await sessionCookie(context)).toBeUndefined()
    await page.goto(`${scene.sites.app}/`)
    await settled(page, 'signed out')
  })

  it('survives a flood of cookies from the application and from a sibling, by its priority', async () => {
    const flood = (from: Page, domain: string): Promise<void> =>
      from.evaluate((at) => {
        for (let n = 0; n < 400; n += 1) document.cookie = `flood${n}=${'x'.repeat(20)}; Secure; Path=/${at}`
      }, domain)
    // Control: the same cookie without the priority that the gateway gives it, as this context was made with, is driven out.
    const real = await signedIn(scene)
    const given = await sessionCookie(real.context)
    for (const [inside, own] of [
      [context, page],
      [real.context, real.page],
    ] as const) {
      const sibling = await inside.newPage()
      await sibling.goto(`${scene.sites.sub}/page`)
      await flood(sibling, '; Domain=app.test')
      await flood(own, '')
    }
    expect(await sessionCookie(context)).toBeUndefined()
    expect(await sessionCookie(real.context)).toEqual(given)
    await real.page.reload()
    await settled(real.page, 'signed in as ada')
    await real.context.close()
  })

  it('is not to be tossed in by a sibling subdomain', async () => {
    const sibling = await context.newPage()
    await sibling.goto(`${scene.sites.sub}/page`)
    await write(
      sibling,
      plantings.flatMap((line) => [line, `${line}; Domain=app.test`, `${line}/app; Domain=app.test`]),
    )
    // Control: a name without prefix does arrive at the application.
    await sibling.evaluate(() => (document.cookie = 'tossed=1; Secure; Path=/; Domain=app.test'))
    const mark = scene.sites.mark()
    await stillAda()
    const sent = scene.sites.heardAt('/app/home', mark)[0]?.request('cookie') ?? ''
    expect(sent).toContain('tossed=1')
    expect(sent).not.toContain(PLANTED)
    expect(sent.split(`${SESSION}=`)).toHaveLength(2) // once
  })

  it('of a signed-out browser cannot be an attacker’s, whatever a sibling sets', async () => {
    const fresh = await scene.browser.newContext()
    const sibling = await fresh.newPage()
    await sibling.goto(`${scene.sites.sub}/page`)
    await write(
      sibling,
      plantings.map((line) => `${line.replace(PLANTED, cookie)}; Domain=app.test`),
    )
    await sibling.goto(`${scene.sites.app}/`)
    await settled(sibling, 'signed out')
    await fresh.close()
  })
})
